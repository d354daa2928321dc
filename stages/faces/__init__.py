"""Faces in pictures and video: frames, detection, tracking.

In: pictures or a video source. Out: boxes with the number of each face. It knows nothing of emotions.
"""

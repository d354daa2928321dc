"""Faces in pictures and video: frames, detection, tracking.

In: pictures or a video source. Out: boxes with the number of each face. It knows nothing of emotions.

Thresholds are measured on clips; check frame rate and tests after a change.
"""

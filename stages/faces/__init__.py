"""Faces in pictures and video: frames, detection, tracking.

In: pictures or a video source. Out: boxes with the number of each face. It knows nothing of emotions.

`frames` reads a file, a stream or a camera; `detection` finds faces in a picture; `follower` finds and numbers those
of a video with `tracking`; `geometry` computes with boxes.

Thresholds are measured on clips; check frame rate and tests after a change.
"""

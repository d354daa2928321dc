"""Video in, video out: the threaded pipeline, smoothing over time, the overlay, the timeline.

In: a video source and a served run. Out: frames with predictions, a video, a CSV file, a picture over time.

The columns of the CSV file are fixed; everything else may change.
"""

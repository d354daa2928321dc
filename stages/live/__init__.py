"""Video in, video out: the threaded pipeline, smoothing over time, the overlay, the timeline.

In: a video source and a served run. Out: frames with predictions, a video, a CSV file, a picture over time.

`watch` runs everything by its command-line options: `pipeline` (a thread per step), `prefetch` (its queues),
`recognition` (predictions and smoothing). Outputs: `overlay` (drawn on frames), `window`, `video_output`, `timeline`
(CSV and picture).

The columns of the CSV file are fixed; everything else may change.
"""

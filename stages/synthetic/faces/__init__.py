"""Images of synthetic faces: identity, expression, pose, light.

`face` draws a face: `identity` samples the person, `expression` the emotion; `head` and `features` (eyes, brows, nose,
mouth) are drawn on the `canvas`.
"""

"""Images of synthetic faces: identity, expression, pose, light."""

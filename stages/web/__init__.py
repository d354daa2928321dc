"""The page in the browser, served by Gradio.

In: served runs and untrusted uploads. Out: probabilities, a message, pictures. No upload is kept.

Everything may change but the limits on uploads.
"""

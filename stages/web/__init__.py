"""The page in the browser, served by Gradio.

In: served runs and untrusted uploads. Out: probabilities, a message, pictures. No upload is kept.

`server` serves the page, `page` is its layout, `result` what it shows for a file, `uploads` the limits of requests.

Everything may change but the limits on uploads.
"""

"""The layout of the page: a tab for each run with an upload, the result, and what the model was trained on."""

from contextlib import nullcontext
from html import escape
from typing import Any

import gradio as gr

from stages.faces.detection import BlazeFinder, FinderSettings, whole
from stages.serving.boxes import Finder
from stages.serving.inputs import SUFFIXES
from stages.serving.served_run import ServedRun
from stages.web.result import Result, result_of
from stages.web.uploads import is_uploaded

TITLE = "Emotion recognition"
QUEUE_SIZE = 16  # waiting requests; one is processed at a time
# System fonts: nothing is fetched from elsewhere.
THEME = gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))
CSS = """
.about { line-height: 1.5; }
.about .synthetic, .message .error { color: #a33b00; font-weight: 600; }
.dark .about .synthetic, .dark .message .error { color: #ff9b5e; }
.message pre { overflow: auto; max-height: 16em; font-size: 0.8em; }
"""
MEANING = {
    "image": "It predicts the expression of a face, as people labelled posed and found photos.",
    "audio": "It predicts the emotion that a speaker was asked to express.",
    "windows": "It predicts what the recorded person was shown or asked to do.",
    "recording": "It predicts what the recorded person was shown or asked to do.",
}
LIMITS = "It does not detect what anybody feels, and is not for hiring, policing or diagnosis."


def page(runs: list[ServedRun], max_upload_mb: int) -> gr.Blocks:
    """Return the page, with a tab for each run where there are several."""
    find = BlazeFinder(FinderSettings())
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.Markdown(f"# {TITLE}")
        for run in runs:
            with gr.Tab(run.info["run"]) if len(runs) > 1 else nullcontext():
                _panel(run, find, max_upload_mb)
    return blocks.queue(max_size=QUEUE_SIZE, api_open=False)


def _panel(run: ServedRun, find: Finder, max_upload_mb: int) -> None:
    gr.HTML(about(run), elem_classes="about")
    with gr.Row():
        with gr.Column():
            upload = upload_component(run.kind, max_upload_mb)
            is_face = gr.Checkbox(label="the picture is a face already: skip detection", visible=run.kind == "image")
        with gr.Column():
            label = gr.Label(label=f"Probabilities of the {len(run.classes)} classes", elem_classes="probabilities")
            message = gr.HTML(elem_classes="message")
    with gr.Row():
        photo = _picture("Detected faces", scale=2, visible=run.kind == "image")
        attribution = _picture("Attribution: which parts of the input support the prediction", scale=5, visible=True)

    def respond(path: str | None, is_face: bool) -> tuple[Any, ...]:
        result = result_of(run, path, whole if is_face else find)
        return result.probabilities, message_html(result), result.photo, result.attribution

    wiring = {"inputs": [upload, is_face], "outputs": [label, message, photo, attribution]}
    # One request at a time over all tabs: a network uses all processors.
    limits = {"concurrency_id": "networks", "concurrency_limit": 1, "api_visibility": "private"}
    gr.on([upload.change, is_face.change], respond, **wiring, **limits)


def upload_component(kind: str, max_upload_mb: int) -> Any:
    """Return the component for uploads of a run of this `kind`; it passes on the path and decodes nothing."""
    up_to = f"up to {max_upload_mb} MB"
    if kind == "image":
        label, sources = f"Picture: JPEG or PNG, {up_to}", ["upload", "webcam"]
        component = gr.Image(label=label, sources=sources, format="png", height=340)
    elif kind == "audio":
        label, sources = f"Speech: WAV, FLAC, MP3 or Ogg, {up_to}", ["upload", "microphone"]
        component = gr.Audio(label=label, sources=sources, buttons=[])
    else:
        component = gr.File(label=f"EEG: {', '.join(SUFFIXES[kind])}, {up_to}", file_types=list(SUFFIXES[kind]))

    def checked_path(given: Any) -> str | None:
        if given and not is_uploaded(given.path):
            raise gr.Error("The upload is no longer there: choose the file again.", print_exception=False)
        return str(given.path) if given else None

    component.preprocess = checked_path
    return component


def _picture(heading: str, scale: int, visible: bool) -> gr.Image:
    """Return an image below its heading; Gradio's own label would cover its corner."""
    with gr.Column(scale=scale, visible=visible):
        gr.Markdown(f"**{heading}**")
        return gr.Image(show_label=False, format="png", interactive=False, buttons=["fullscreen"])


def about(run: ServedRun) -> str:
    """Return HTML: the model, its training corpus, and what its predictions do not mean."""
    info = run.info
    name = "a synthetic corpus" if info["synthetic"] else info["name"]
    model = f"Model <b>{escape(info['run'])}</b>, trained on <b>{escape(name)}</b>"
    warning = '<span class="synthetic">Its predictions say nothing about people.</span> ' if info["synthetic"] else ""
    return f"<p>{model}; protocol: {escape(info['protocol'])}. {warning}{MEANING[run.kind]} {LIMITS}</p>"


def message_html(result: Result) -> str:
    """Return message and table as HTML, escaped: they hold file names of the user's."""
    kind = "error" if result.is_error else "note"
    message = f'<p class="{kind}">{escape(result.message)}</p>' if result.message else ""
    return message + (f"<pre>{escape(result.table)}</pre>" if result.table else "")

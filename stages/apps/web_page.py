"""The page: where to put a file, what comes back, and what an answer is worth."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from stages.apps.detection import Finder, whole
from stages.apps.haar import FinderSettings, HaarFinder
from stages.apps.inputs import SUFFIXES
from stages.apps.serving import ServedRun
from stages.apps.web_answers import Shown, show
from stages.apps.web_uploads import is_uploaded

TITLE = "Emotion recognition"
WAITING = 16  # that may stand in line; one is answered at a time
# Of the machine that shows the page: nothing is fetched.
THEME = gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))
CSS = """
.about { line-height: 1.5; }
.about .drawn, .said .wrong { color: #a33b00; font-weight: 600; }
.dark .about .drawn, .dark .said .wrong { color: #ff9b5e; }
.said pre { overflow: auto; max-height: 16em; font-size: 0.8em; }
"""
NAMES = {
    "image": "It names the expression that a face shows, as people labelled posed and found photos.",
    "audio": "It names the emotion that a voice was asked to speak with.",
    "windows": "It names what the person recorded was shown or asked to do.",
    "recording": "It names what the person recorded was shown or asked to do.",
}
LIMITS = "It does not read what anybody feels, and is not for hiring, policing or diagnosis."


def page(runs: list[ServedRun], max_upload_mb: int) -> gr.Blocks:
    """A tab for each run; of one alone, no tabs."""
    find = HaarFinder(FinderSettings())
    with gr.Blocks(title=TITLE, analytics_enabled=False) as made:
        gr.Markdown(f"# {TITLE}")
        for run in runs:
            with gr.Tab(run.info["run"]) if len(runs) > 1 else nullcontext():
                _panel(run, find, max_upload_mb)
    return made.queue(max_size=WAITING, api_open=False)


def _panel(run: ServedRun, find: Finder, max_upload_mb: int) -> None:
    gr.HTML(about(run), elem_classes="about")
    with gr.Row():
        with gr.Column():
            given = uploaded_only(_given(run.kind, max_upload_mb))
            is_face = gr.Checkbox(label="the picture is a face already: look for none", visible=run.kind == "image")
        with gr.Column():
            label = gr.Label(label=f"Probabilities of the {len(run.classes)} classes", elem_classes="probabilities")
            said = gr.HTML(elem_classes="said")
    with gr.Row():
        seen = _picture("Faces that were found", scale=2, visible=run.kind == "image")
        why = _picture("What speaks for the answer", scale=5, visible=True)
    asked = {"inputs": [given, is_face], "outputs": [label, said, seen, why]}
    # One at a time, over all tabs: a network takes all the processors it gets.
    alone = {"concurrency_id": "networks", "concurrency_limit": 1, "api_visibility": "private"}
    gr.on([given.change, is_face.change], partial(_answer, run, find), **asked, **alone)


def _answer(run: ServedRun, find: Finder, path: str | None, is_face: bool) -> tuple[Any, ...]:
    shown = show(run, path, whole if is_face else find)
    return shown.probabilities, said_html(shown), shown.seen, shown.why


def _given(kind: str, max_upload_mb: int) -> Any:
    """Where a file comes in."""
    up_to = f"up to {max_upload_mb} MB"
    if kind == "image":
        return gr.Image(label=f"Picture: JPEG or PNG, {up_to}", sources=["upload", "webcam"], format="png", height=340)
    if kind == "audio":
        return gr.Audio(label=f"Voice: WAV, FLAC, MP3 or Ogg, {up_to}", sources=["upload", "microphone"], buttons=[])
    return gr.File(label=f"EEG: {', '.join(SUFFIXES[kind])}, {up_to}", file_types=list(SUFFIXES[kind]))


def uploaded_only(component: Any) -> Any:
    """Of what is given, the path and nothing else: we decode, and say what is wrong.

    Gradio would open files in any format, fetch addresses that a crafted request names, of any size, and of a picture
    take any path of this machine.
    """
    fetch: Callable[[Any], Any] = component.async_move_resource_to_block_cache

    async def from_disk(path: str | Path | None) -> str | None:
        return await fetch(_require_uploaded(path) if path is not None else None)

    component.async_move_resource_to_block_cache = from_disk
    component.preprocess = lambda given: _require_uploaded(given.path) if given else None
    return component


def _require_uploaded(path: str | Path | None) -> str:
    if not is_uploaded(path):
        raise gr.Error("The upload is no longer there: choose the file again.", print_exception=False)
    return str(path)


def _picture(heading: str, scale: int, visible: bool) -> gr.Image:
    """Below its heading: a label of Gradio's would lie over its corner."""
    with gr.Column(scale=scale, visible=visible):
        gr.Markdown(f"**{heading}**")
        return gr.Image(show_label=False, format="png", interactive=False, buttons=["fullscreen"])


def about(run: ServedRun) -> str:
    """HTML: which model, trained on what, and what its answers are not."""
    info = run.info
    name = "a drawn (synthetic) corpus" if info["synthetic"] else info["name"]
    model = f"Model <b>{escape(info['run'])}</b>, trained on <b>{escape(name)}</b>"
    drawn = '<span class="drawn">Its answers say nothing about people.</span> ' if info["synthetic"] else ""
    return f"<p>{model}; protocol: {escape(info['protocol'])}. {drawn}{NAMES[run.kind]} {LIMITS}</p>"


def said_html(shown: Shown) -> str:
    """Message and table, with nothing in them that a browser would run: names of files stand there."""
    kind = "wrong" if shown.is_error else "note"
    message = f'<p class="{kind}">{escape(shown.message)}</p>' if shown.message else ""
    return message + (f"<pre>{escape(shown.table)}</pre>" if shown.table else "")

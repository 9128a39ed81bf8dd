"""The job request that the load sends: what a published SDK writes for an ordinary picture."""

import uuid

import msgspec

from dreamgrid.protocol.codec import Envelope

MODEL = "pattern-v1"
STEPS = 20

_json = msgspec.json.Encoder()
_PROJECT_ID = b"PROJECT-ID"
_IDLE_FLAGS = {f"hasContextImage{slot}": False for slot in range(1, 17)}
_KEY_FRAME = {
    # What the published SDKs always send, whatever the app asked for.
    **dict.fromkeys(("stepsIsEnabled", "guidanceScaleIsEnabled", "strengthIsEnabled"), True),
    **dict.fromkeys(("isEnabled", "siDragOffsetIsEnabled", "siZoomScaleIsEnabled"), True),
    **dict.fromkeys(("cnRotationIsEnabled", "siRotationIsEnabled", "cnZoomScaleIsEnabled"), True),
    **dict.fromkeys(("startingImageZoomPanIsOn", "controlNetZoomPanIsOn"), False),
    **dict.fromkeys(("siRotation", "cnRotation", "frameIndex"), 0),
    **dict.fromkeys(("siZoomScale", "cnZoomScale"), 1),
    "siDragOffset": [0, 0],
    "cnDragOffset": [0, 0],
    **dict.fromkeys(("currentControlNets", "startingImage"), None),
    "useLastImageAsGuideImageInAnimation": True,
    "useLastImageAsCNImageInAnimation": False,
    "siImageBackgroundColor": "black",
    "cnImageBackgroundColor": "clear",
    "processing": "CPU, GPU",
    "strength": 0.5,
    **_IDLE_FLAGS,
    # What the app asked for.
    "modelID": MODEL,
    "positivePrompt": "an astronaut rides a horse on mars, cinematic light, sharp focus, " * 4,
    "negativePrompt": "bad anatomy, missing fingers, cropped, low quality, watermark, " * 2,
    "stylePrompt": "oil painting, baroque",
    "steps": STEPS,
    "seed": 123456789,
    "scheduler": "Euler",
    "timeStepSpacing": "Simple",
    "sizePreset": "custom",
    "width": 512,
    "height": 512,
}
_PAYLOAD = _json.encode(
    {
        "jobID": _PROJECT_ID.decode(),
        "numberOfImages": 1,
        "previews": 0,
        "disableSafety": False,
        "tokenType": "spark",
        "outputFormat": "png",
        "network": "fast",
        "selectedUpscalingModel": "OFF",
        **dict.fromkeys(("doCanvasBlending", "animationIsOn", "canvasIsOn"), False),
        "frameRate": 24,
        "generatedVideoSeconds": 10,
        "cnVideoFrames": [],
        "siVideoFrames": [],
        "keyFrames": [_KEY_FRAME],
    }
)
"""A little more than 2 KB, two thirds of it noise, as real requests are."""


def new_request() -> tuple[str, bytes]:
    """A fresh project id, and the message that asks for it."""
    project_id = str(uuid.uuid4()).upper()
    payload = _PAYLOAD.replace(_PROJECT_ID, project_id.encode())
    return project_id, _json.encode(Envelope("jobRequest", payload))

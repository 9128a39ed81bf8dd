"""Job requests as our SDK writes them: in full, so that any server of this wire can read them.

A dreamgrid server needs none of the constants below, and reads no content types from a request. The
published SDKs send them all, and a server that expects what those send shall find it.
Source: `job-request.md` 1, 2 and 5 of the wire contract.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from dreamgrid.protocol.assets import (
    MEDIA_ROLES,
    REFERENCE_IMAGE,
    REFERENCE_IMAGE_END,
    REFERENCE_MASK,
)
from dreamgrid.protocol.codec import encode_raw
from dreamgrid.protocol.job_request import JobRequest
from dreamgrid.protocol.model_names import AUDIO_IDENTITY

PROJECT: dict[str, Any] = {
    "selectedUpscalingModel": "OFF",
    "doCanvasBlending": False,
    "animationIsOn": False,
    "canvasIsOn": False,
    "frameRate": 24,
    "generatedVideoSeconds": 10,
    "cnVideoFrames": [],
    "cnVideoFramesSketch": [],
    "cnVideoFramesSegmentedSubject": [],
    "cnVideoFramesFace": [],
    "cnVideoFramesBoth": [],
    "cnVideoFramesDepth": [],
    "cnVideoFramesSegmentedBackground": [],
    "cnVideoFramesSegmented": [],
    "cnVideoFramesPose": [],
    "siVideoFrames": [],
}
"""What surrounds every request."""

KEY_FRAME: dict[str, Any] = {
    "stepsIsEnabled": True,
    "siRotation": 0,
    "siDragOffsetIsEnabled": True,
    "strength": 0.5,
    "siZoomScaleIsEnabled": True,
    "isEnabled": True,
    "processing": "CPU, GPU",
    "useLastImageAsGuideImageInAnimation": True,
    "guidanceScaleIsEnabled": True,
    "siImageBackgroundColor": "black",
    "cnDragOffset": [0, 0],
    "cnRotation": 0,
    "siZoomScale": 1,
    "cnRotationIsEnabled": True,
    "startingImageZoomPanIsOn": False,
    "siRotationIsEnabled": True,
    "cnImageBackgroundColor": "clear",
    "strengthIsEnabled": True,
    "siDragOffset": [0, 0],
    "useLastImageAsCNImageInAnimation": False,
    "controlNetZoomPanIsOn": False,
    "cnZoomScaleIsEnabled": True,
    "currentControlNets": None,
    "cnDragOffsetIsEnabled": True,
    "frameIndex": 0,
    "startingImage": None,
    "cnZoomScale": 1,
    "scheduler": None,
    "timeStepSpacing": None,
    "positivePrompt": "",
    "stylePrompt": "",
}
"""What surrounds every key frame. A strength without a starting image means nothing."""

_TYPED_ROLES = MEDIA_ROLES | {
    REFERENCE_IMAGE,
    REFERENCE_IMAGE_END,
    REFERENCE_MASK,
    AUDIO_IDENTITY,
}


def encode_request(request: JobRequest, content_types: Mapping[str, str]) -> bytes:
    """A whole request, ready to be sent as one WebSocket frame.

    Args:
        request: What to make.
        content_types: Media types of the inputs that were uploaded for it, by role.
    """
    payload: dict[str, Any] = msgspec.to_builtins(request)
    (frame,) = payload["keyFrames"]
    typed = {
        f"{role}ContentType": content_type
        for role, content_type in content_types.items()
        if role in _TYPED_ROLES
    }
    payload["keyFrames"] = [KEY_FRAME | frame | typed]
    return encode_raw(request.message_type, PROJECT | payload)

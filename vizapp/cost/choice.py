"""Which processor a technique runs on: what it needs of one, and which is taken where none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.cost.processors import load_processor, processor_names
from vizapp.errors import ScenarioError
from vizapp.machine.inputs import EPT, NPT, SVM, VT_X
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.cost.processors import Processor

DEFAULT_PROCESSOR: Final = "pentium-4-672"
PAGINGS: Final = ("shadow", "nested")

# Techniques that are in the processor: what it must have, by paging, and the default.
_HARDWARE: Final = {
    ("vt-x", "shadow"): (VT_X, DEFAULT_PROCESSOR),
    ("vt-x", "nested"): (EPT, "nehalem"),
    ("amd-v", "shadow"): (SVM, "k8-rev-f"),
    ("amd-v", "nested"): (NPT, "barcelona"),
}


def default_processor(technique: str, paging: str = "shadow") -> str:
    """The name of the processor that is taken where none is named."""
    _, processor = _HARDWARE.get((technique, paging), ("", DEFAULT_PROCESSOR))
    return processor


def uses_virtualization(technique: str) -> bool:
    """Whether the technique is VT-x or AMD-V; the processor hides both from anything below any other."""
    return (technique, "shadow") in _HARDWARE


def hardware_of(processor: Processor) -> str:
    """The technique that is in a processor: ``amd-v`` where it has SVM, otherwise ``vt-x``, fit or not."""
    return "amd-v" if SVM in processor.features else "vt-x"


def fits(processor: Processor, technique: str, paging: str = "shadow") -> bool:
    """Whether a technique can be on a processor; ``paging`` says nothing to one that is not in it."""
    needed, _ = _HARDWARE.get((technique, paging), ("", ""))
    return not needed or needed in processor.features


def check_processor(processor: Processor, technique: str, paging: str = "shadow") -> None:
    """See that a technique can be on a processor.

    Raises:
        ScenarioError: it cannot, with what would do.
    """
    if (technique, paging) not in _HARDWARE:
        if paging == "shadow":
            return
        hardware = ", ".join(name for name, kind in _HARDWARE if kind == paging)
        sentence = N_("{technique} has no nested paging, which is for {hardware}; use --paging shadow")
        raise ScenarioError(Message(sentence, {"technique": technique, "hardware": hardware}))
    if fits(processor, technique, paging):
        return
    needed, _ = _HARDWARE[technique, paging]
    fitting = [name for name in processor_names() if fits(load_processor(name), technique, paging)]
    parameters = {
        "technique": technique,
        "processor": processor.name,
        "feature": needed,
        "fitting": ", ".join(fitting) or "-",
    }
    if paging == "nested":
        sentence = N_(
            "{technique} on {processor} has no nested paging, for want of {feature}; use --paging shadow or "
            "one of these processors: {fitting}"
        )
    else:
        sentence = N_(
            "{technique} cannot be on {processor}, for want of {feature}; use one of these processors: "
            "{fitting}"
        )
    raise ScenarioError(Message(sentence, parameters))

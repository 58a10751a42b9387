"""The header at the sizes of windows: nothing in it is cut, and the processor is always named."""

import pytest
from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QComboBox

from vizapp.messages import Translator
from vizapp.resources import assets
from vizapp.ui.choices import choices
from vizapp.ui.header import Header, short_name
from vizapp.ui.selection import Selection

SELECTIONS = [
    Selection("minikernel", "trap-and-emulate"),
    Selection("network-receive", "vt-x", "nehalem", paging="nested"),
    Selection("network-receive", "paravirtual", "barcelona", paging="nested", io="hvm"),
    Selection("privileged-app", "binary-translation", io="hosted"),
    Selection("minikernel", "native", "k8-rev-f"),
]


@pytest.mark.parametrize("width", [1280, 1440, 1920])
@pytest.mark.parametrize("language", ["en", "pt_BR"])
def test_the_processor_is_named_and_nothing_is_cut(qtbot, look, width, language):
    header = Header(look, Translator(language, assets() / "locale"), choices())
    qtbot.addWidget(header)
    header.resize(width, 60)
    header.show()
    for selection in SELECTIONS:
        header.show_selection(selection)
        header.resize(width, header.sizeHint().height())
        QCoreApplication.processEvents()
        assert header.processor.isVisible()
        name = header.processor.itemText(header.processor.currentIndex())
        assert header.processor.shown in (name, short_name(name))
        for box in header.findChildren(QComboBox):
            if box.isVisible():
                words = box.shown if box is header.processor else box.currentText()
                assert box.width() >= box.fontMetrics().horizontalAdvance(words) + look.px(18)
                assert box.geometry().right() <= box.parentWidget().width()
        assert header.minimumSizeHint().width() <= width


def test_a_short_name_has_neither_maker_nor_clock():
    assert short_name("Intel Pentium 4 672, 3.8 GHz") == "Pentium 4 672"
    assert short_name("AMD Athlon 64 X2 5000+, 2.6 GHz") == "Athlon 64 X2 5000+"

"""People: bring them in, look at one, keep letters from somebody, forget somebody."""

from pipeline.stages.people.bringing import import_people
from pipeline.stages.people.erasing import Erased, erase
from pipeline.stages.people.exporting import Export, export_person
from pipeline.stages.people.imports import UndoneImport, list_imports, undo_import
from pipeline.stages.people.looking import Person, list_people, show_person
from pipeline.stages.people.standing import Edited, hold, lift, pause, release, suppress
from pipeline.stages.people.undoing import UNDOABLE, Undone, undo

__all__ = [
    "UNDOABLE",
    "Edited",
    "Erased",
    "Export",
    "Person",
    "Undone",
    "UndoneImport",
    "erase",
    "export_person",
    "hold",
    "import_people",
    "lift",
    "list_imports",
    "list_people",
    "pause",
    "release",
    "show_person",
    "suppress",
    "undo",
    "undo_import",
]

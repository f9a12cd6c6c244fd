"""The directory that holds a model. Its face needs no Spark; `purchasecast.bundle.pipeline` reads the Spark part."""

from purchasecast.bundle.directory import MANIFEST, REPORT, SCORER, Bundle, load_bundle, load_with
from purchasecast.bundle.writing import add_document, add_file, check_place, copy_bundle, pinned, save_bundle

__all__ = [
    "MANIFEST",
    "REPORT",
    "SCORER",
    "Bundle",
    "add_document",
    "add_file",
    "check_place",
    "copy_bundle",
    "load_bundle",
    "load_with",
    "pinned",
    "save_bundle",
]

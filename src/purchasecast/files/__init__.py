"""Write files and folders whole or not at all, and read files that must not have changed."""

from purchasecast.files.exchange import locked, replace_folder, restore, staging
from purchasecast.files.formulas import FORMULA, PLAIN_NUMBER, escape_formulas, escape_name
from purchasecast.files.sealed import SealedFiles
from purchasecast.files.whole import cause, put_entries, put_file, sync_tree, write_whole

__all__ = [
    "FORMULA",
    "PLAIN_NUMBER",
    "SealedFiles",
    "cause",
    "escape_formulas",
    "escape_name",
    "locked",
    "put_entries",
    "put_file",
    "replace_folder",
    "restore",
    "staging",
    "sync_tree",
    "write_whole",
]

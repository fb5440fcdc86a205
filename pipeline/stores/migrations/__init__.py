"""The database's history: one revision after another, the newest named here.

To change the schema: edit schema.py, add versions/vNNNN_what.py that does the same to a
database in use (op.batch_alter_table for what SQLite cannot alter), and raise HEAD. A
revision spells its types out and imports nothing of ours, so that it still does in five
years what it does today. tests/stores/test_migrate.py holds both against each other.
"""

from __future__ import annotations

HEAD = "0002"

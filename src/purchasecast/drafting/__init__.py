"""Draft a schema from the data: roles, kinds, owners and domains, each guess with its reason."""

from purchasecast.drafting.draft import ColumnDraft, Question, SchemaDraft
from purchasecast.drafting.draft_schema import draft_schema

__all__ = ["ColumnDraft", "Question", "SchemaDraft", "draft_schema"]

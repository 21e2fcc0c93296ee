"""What the linter needs to render a model without dbt: quoting as the adapter does it."""


def quote(name: object) -> str:
    """Quote an identifier."""
    return f'"{name}"'

"""Run tools by their names."""

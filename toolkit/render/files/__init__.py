"""Reports as files for other programs: JUnit, Markdown, CSV, annotations, PNG."""

"""Picture files and folders become arrays; predictions stream through them."""

"""The life of routes between what is applied and what is served: tests, versions, environments; and their documents."""

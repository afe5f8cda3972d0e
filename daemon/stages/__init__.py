"""One file a stage: how the resources of its kinds become what runs, and what is to be seen of them."""

"""Language models that judge: servers, models in this process, and a cache of what they said."""

"""Language models as explainers, simulators and classifiers of units."""

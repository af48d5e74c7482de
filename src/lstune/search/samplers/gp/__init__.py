"""Our Gaussian process: `model` the regression, `acquisition` what to try, `sampler` the whole."""

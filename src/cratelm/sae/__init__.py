"""The post-hoc rival: sparse autoencoders on a model's sites, trained by SAELens; their latents are units."""

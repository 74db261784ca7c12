"""Facts of named encoders of the field beside BiT, each read at the address it names. No torch.

Size, mean, deviation and licence of timm's models are those of timm itself, see
`models.backbones.with_timm_facts`. What could not be read is None, with the reason in the note. No
file is pinned: its digest is recorded when it is fetched.
"""

from dataclasses import dataclass

IMAGENET_1K, IMAGENET_21K = 1_281_167, 14_197_122
JFT = 300_000_000
WEBLI = 10_000_000_000
LVD = 1_689_000_000
"""In the tag of the models, `lvd1689m`."""
TIMM = "timm's configuration"
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class StatedInput:
    """Input of an encoder that is not timm's own.

    Attributes:
        size: Side in pixels.
        mean: Per channel on the scale 0 to 1; None for that of the timm network.
        std: Likewise.
    """

    size: int
    mean: Triple | None = None
    std: Triple | None = None


@dataclass(frozen=True)
class FieldRung:
    """Facts of one encoder.

    Attributes:
        name: Of the rung.
        timm: Network in timm, with its tag where the weights are timm's.
        pretraining: What the weights were learned from.
        images: Number of images in that data; None where it could not be read.
        supervised: True if labels of people were used; texts of images are none.
        facts: Address at which the facts were read.
        licence: Of weights that are not timm's; empty where it could not be read.
        seen: Public sets inside, by their names in `medtransfer sources`.
        note: Reasons for what is None, and caveats.
        stated: Input, where it is not timm's.
    """

    name: str
    timm: str
    pretraining: str
    images: int | None
    supervised: bool
    facts: str
    licence: str = ""
    seen: tuple[str, ...] = ()
    note: str = ""
    stated: StatedInput | None = None

    @property
    def is_timm(self) -> bool:
        """True if the weights are those of timm."""
        return self.name.startswith("timm/")


def _timm(model: str, pretraining: str, images: int | None, **facts: str | bool) -> FieldRung:
    """An encoder whose weights are timm's; not supervised unless it is said."""
    return FieldRung(
        name=f"timm/{model}",
        timm=model,
        pretraining=pretraining,
        images=images,
        supervised=bool(facts.get("supervised", False)),
        facts=str(facts.get("facts", TIMM)),
        note=str(facts.get("note", "")),
    )


DINOV3 = "LVD-1689M, self-supervised (DINOv3)"
SIGLIP2 = "WebLI, images with texts (SigLIP 2)"
WEBLI_FACTS = "https://arxiv.org/abs/2209.06794"
RADIO = "distilled from several encoders (C-RADIO v3)"
RADIO_NOTE = "The number of images could not be read."
AIM = "images with texts, autoregressive (AIMv2)"
AIM_NOTE = "The number of images could not be read."
EVA = "ImageNet-21k, masked images (EVA-02)"
MASKED = "ImageNet-1k, masked images (FCMAE)"
NOISY = "ImageNet-1k and JFT-300M"
NOISY_NOTE = "Stand-in for JFT scale: self-training on unlabelled JFT."

_FIELD = (
    *(
        _timm(f"{network}_patch16_dinov3.lvd1689m", DINOV3, LVD)
        for network in ("vit_small", "vit_base", "vit_large")
    ),
    *(
        _timm(f"convnext_{size}.dinov3_lvd1689m", DINOV3, LVD)
        for size in ("tiny", "small", "base", "large")
    ),
    *(
        _timm(f"vit_{network}.v2_webli", SIGLIP2, WEBLI, facts=WEBLI_FACTS)
        for network in (
            "base_patch16_siglip_224",
            "base_patch16_siglip_384",
            "so400m_patch14_siglip_378",
        )
    ),
    *(
        _timm(f"vit_{size}_patch16_radio_v3.c_radio", RADIO, None, note=RADIO_NOTE)
        for size in ("base", "large", "huge")
    ),
    *(
        _timm(f"aimv2_{size}_patch14_224.apple_pt", AIM, None, note=AIM_NOTE)
        for size in ("large", "huge")
    ),
    *(
        _timm(f"eva02_{size}_patch14_224.mim_in22k", EVA, IMAGENET_21K)
        for size in ("tiny", "small", "base", "large")
    ),
    *(_timm(f"convnextv2_{size}.fcmae", MASKED, IMAGENET_1K) for size in ("tiny", "base", "large")),
    *(
        _timm(
            f"convnextv2_{size}.fcmae_ft_in22k_in1k",
            f"{MASKED}, then ImageNet-21k and ImageNet-1k",
            IMAGENET_21K,
            supervised=True,
        )
        for size in ("tiny", "base", "large")
    ),
    *(
        _timm(f"tf_efficientnet_b{number}.ns_jft_in1k", NOISY, JFT, note=NOISY_NOTE)
        for number in range(1, 8)
    ),
    FieldRung(
        name="rad-dino/vit-b14",
        timm="vit_base_patch14_dinov2",
        pretraining="chest films of three countries after LVD-142M, self-supervised (RAD-DINO)",
        images=None,
        supervised=False,
        facts="https://huggingface.co/microsoft/rad-dino",
        licence="MSRLA",
        note="Number of images, public sets inside, mean and deviation could not be read: state "
        "them with `images:` and `seen:`.",
        stated=StatedInput(518),
    ),
    FieldRung(
        name="medsiglip/so400m-448",
        timm="vit_so400m_patch14_siglip_378.v2_webli",
        pretraining="medical and natural images with texts (MedSigLIP)",
        images=None,
        supervised=False,
        facts="https://developers.google.com/health-ai-developer-foundations/medsiglip/model-card",
        licence="Health AI Developer Foundations terms",
        note="Number of images, public sets inside, mean and deviation could not be read: state "
        "them with `images:` and `seen:`.",
        stated=StatedInput(448),
    ),
    FieldRung(
        name="biomedclip/vit-b16",
        timm="vit_base_patch16_224",
        pretraining="PMC-15M, figures with captions (BiomedCLIP)",
        images=15_000_000,
        supervised=False,
        facts="https://huggingface.co/microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        licence="MIT",
        note="Figures of articles may show images of any public set. Mean and deviation could not "
        "be read.",
        stated=StatedInput(224),
    ),
    FieldRung(
        name="retfound/vit-l16",
        timm="vit_large_patch16_224",
        pretraining="fundus photographs after ImageNet-1k, masked images (RETFound)",
        images=900_000,
        supervised=False,
        facts="https://www.nature.com/articles/s41467-025-62123-z",
        note="About 900,000 photographs of Moorfields Eye Hospital and public sets, whose names "
        "could not be read: state them with `seen:`. Licence, mean and deviation could not be "
        "read.",
        stated=StatedInput(224),
    ),
    FieldRung(
        name="panderm/vit-l16",
        timm="vit_large_patch16_224",
        pretraining="images of skin from 11 clinics, self-supervised (PanDerm)",
        images=2_100_000,
        supervised=False,
        facts="https://github.com/SiyuanYan1/PanDerm",
        licence="CC-BY-NC-ND-4.0",
        note="Public sets inside could not be read: state them with `seen:`. Fine-tuned by its "
        "authors with mean and deviation of ImageNet.",
        stated=StatedInput(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ),
    FieldRung(
        name="ark6/swin-b",
        timm="swin_base_patch4_window7_224",
        pretraining="chest films of six public sets with labels after ImageNet-21k (Ark-6)",
        images=704_363,
        supervised=True,
        facts="https://github.com/jlianglab/Ark",
        licence="ASU GitHub Project License",
        seen=(
            *("mimic-cxr-jpg", "chexpert", "nih-chestxray14"),
            *("rsna-pneumonia", "vindr-cxr", "nlm-tuberculosis"),
        ),
        note="Mean and deviation could not be read.",
        stated=StatedInput(224),
    ),
    FieldRung(
        name="ark-plus/swin-l",
        timm="swin_large_patch4_window12_384",
        pretraining="chest films of public sets with labels (Ark+)",
        images=None,
        supervised=True,
        facts="https://www.nature.com/articles/s41586-025-09079-8",
        licence="ASU GitHub Project License",
        seen=(
            *("mimic-cxr-jpg", "chexpert", "nih-chestxray14"),
            *("rsna-pneumonia", "vindr-cxr", "nlm-tuberculosis"),
        ),
        note="Number of images, mean and deviation could not be read; the public sets are those of "
        "Ark-6, which its code names.",
        stated=StatedInput(768),
    ),
    FieldRung(
        name="chexficient/vit-b14",
        timm="vit_base_patch14_dinov2",
        pretraining="22.7 % of 1,235,004 chest films with reports after DINOv2 (CheXficient)",
        images=280_346,
        supervised=False,
        facts="https://github.com/cwangrun/CheXficient",
        seen=(
            *("mimic-cxr-jpg", "chexpert", "padchest", "open-i"),
            *("nih-chestxray14", "brax", "vindr-cxr", "vindr-pcxr"),
        ),
        note="Its reports of five sets are made from labels. The licence could not be read.",
        stated=StatedInput(
            378,
            (0.48145466, 0.4578275, 0.40821073),
            (0.26862954, 0.26130258, 0.27577711),
        ),
    ),
)
FIELD: dict[str, FieldRung] = {rung.name: rung for rung in _FIELD}
"""By the name of the rung."""

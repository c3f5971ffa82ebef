"""Which operators of libtorch an artifact from a stranger may use: those that compute, and nothing else.

Allowed is what takes only tensors, numbers and containers of these, by libtorch's own schemas; what takes text, and
what is private, only by name. So ``aten::save`` and ``aten::from_file`` are not, and no private operator of a later
libtorch and none of another library is, either.
"""

import re
from functools import cache
from typing import Final

import torch


def names(text: str) -> frozenset[str]:
    """Return the words of a table."""
    return frozenset(text.split())


_NAMESPACES: Final = frozenset({"aten", "quantized"})
_PLAIN: Final = re.compile(
    r"((Optional|List)\[|Dict\[\w+, )*"
    r"(Tensor|number|int|int64_t|float|bool|complex|Device|Generator|t\d?"
    r"|__torch__\.torch\.classes\.(quantized|rnn)\.\w+)\]*"
)
# Take text, such as a mode or the letters of an einsum, or are about text itself; ``dequantize`` takes any list.
_WITH_TEXT: Final = names(
    """
    Delete Float Int __contains__ __getitem__ __interpolate __upsample add any capitalize center clear conv1d
    conv2d conv3d copy count dequantize device dict div div_ divide divide_ einsum endswith eq expandtabs
    fft_fft fft_fft2 fft_fftn fft_hfft fft_hfft2 fft_hfftn fft_ifft fft_ifft2 fft_ifftn fft_ihfft fft_ihfft2
    fft_ihfftn fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2 fft_rfftn find format ge gelu gelu_ get
    get_autocast_dtype gt index index_reduce index_reduce_ isalnum isalpha isdecimal isdigit isidentifier
    islower isnumeric isprintable isspace istitle isupper items join keys le len linalg_cond linalg_eigh
    linalg_eigvalsh linalg_lstsq linalg_matrix_norm linalg_norm linalg_qr linalg_svd linalg_svdvals list ljust
    lower lstrip lt meshgrid nanquantile ne ord pad pad_sequence partition percentFormat pop popitem quantile
    remove replace rfind rindex rjust rpartition rsplit rstrip scatter scatter_ scatter_reduce scatter_reduce_
    searchsorted segment_reduce setdefault slice sort sorted split splitlines startswith stft strip swapcase
    title update upper values warn zfill
    """
)
# Private, and yet what the exporters write; each checks its arguments as a public one does.
_PRIVATE: Final = names(
    """
    _adaptive_avg_pool2d _adaptive_avg_pool3d _assert_async _assert_scalar _assert_tensor_metadata
    _batch_norm_no_update _batch_norm_with_update _cdist_forward _convolution _convolution_mode _embedding_bag
    _embedding_bag_forward_only _fft_c2c _fft_c2r _fft_r2c _functional_assert_async _functional_assert_scalar
    _linalg_det _linalg_eigh _linalg_slogdet _linalg_svd _local_scalar_dense _log_softmax
    _native_batch_norm_legit _native_batch_norm_legit_no_training _native_multi_head_attention
    _nested_tensor_from_mask _nested_tensor_from_mask_left_aligned _pack_padded_sequence _pad_packed_sequence
    _reshape_alias _safe_softmax _scaled_dot_product_attention_math _scaled_dot_product_efficient_attention
    _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu _set_item _shape_as_tensor
    _softmax _to_copy _transformer_encoder_layer_fwd _trilinear _unique2 _unsafe_index _unsafe_index_put
    _unsafe_view _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_lanczos2d_aa _upsample_nearest_exact1d
    _upsample_nearest_exact2d _upsample_nearest_exact3d _weight_norm _weight_norm_interface
    """
)
# Of ``prim``, which is the language itself: what looks at a value or changes its type, and what gives up.
_LANGUAGE: Final = names(
    """
    NumToTensor RaiseException StringIndex TupleIndex TupleUnpack abs data device dtype grad is_cpu is_cuda
    is_meta is_mkldnn is_mps is_nested is_quantized is_sparse is_xpu itemsize layout max min name nbytes
    requires_grad shape tolist type unchecked_cast unchecked_unwrap_optional
    """
)


@cache
def _schemas() -> dict[str, list[list[str]]]:
    """Return for each operator, ``aten::add``, the types of the arguments of each of its overloads."""
    found: dict[str, list[list[str]]] = {}
    for schema in torch._C._jit_get_all_schemas():
        types = [str(argument.type) for argument in schema.arguments]
        found.setdefault(schema.name, []).append(types)
    return found


@cache
def is_allowed(operator: str) -> bool:
    """Say whether an artifact may call an operator such as ``aten::add``."""
    namespace, _, name = operator.partition("::")
    if namespace == "prim":
        return name in _LANGUAGE
    if namespace not in _NAMESPACES or operator not in _schemas():
        return False
    private = name.startswith("_") and not name.startswith("__")
    if private or "unsafe" in name:
        return namespace == "aten" and name in _PRIVATE
    plain = all(_PLAIN.fullmatch(each) for types in _schemas()[operator] for each in types)
    return plain or (namespace == "aten" and name in _WITH_TEXT)


@cache
def is_refused_as_method(name: str) -> bool:
    """Say whether a tensor has an operator of this name as a method that an artifact may not call."""
    return f"aten::{name}" in _schemas() and not is_allowed(f"aten::{name}")

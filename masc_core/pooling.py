"""The encoder's trained attention pool, with patches hidden from it.

SigLIP's pooling head (`MultiheadAttentionPoolingHead` in transformers) lets one learned probe
attend to all patch tokens. PF needs it blind to the foreground, so the same weights are applied
here with a mask. As there is a single query, neither keys nor values are projected for every patch:

    logit_n = q . (W_k t_n)        = (W_k' q) . t_n         (b_k adds a constant: softmax drops it)
    output  = sum_n a_n W_v t_n    = W_v (sum_n a_n t_n)    (+ b_v, as the a_n sum to 1)

which costs N*D*heads multiplications instead of 2*N*D*D, and serves any number of masks at once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

Layer = Callable[[torch.Tensor], torch.Tensor]


class PoolWeights(NamedTuple):
    """What a pooling head of H attention heads, each of E = D / H dimensions, computes with."""

    key_query: torch.Tensor
    """(H, D): W_k' q of the formula above, scaled by 1 / sqrt(E)."""
    value_weight: torch.Tensor
    """(H, E, D)."""
    value_bias: torch.Tensor
    """(H, E)."""
    out_proj: Layer
    """(..., D) to (..., D), as are the next two."""
    layernorm: Layer
    mlp: Layer


def pool_weights(head: Any) -> PoolWeights:
    """The weights of a pooling head, in its dtype; gradients reach its parameters.

    Args:
        head: `model.vision_model.head` of a SigLIP or SigLIP2 model.
    """
    attention = head.attention
    assert isinstance(attention, nn.MultiheadAttention)
    dim, n_heads = attention.embed_dim, attention.num_heads
    weights = attention.in_proj_weight.reshape(3, n_heads, dim // n_heads, dim)
    biases = attention.in_proj_bias.reshape(3, n_heads, dim // n_heads)
    query = torch.einsum("hed,d->he", weights[0], head.probe.reshape(dim)) + biases[0]
    scale = (dim // n_heads) ** -0.5
    return PoolWeights(
        key_query=torch.einsum("he,hed->hd", query, weights[1]) * scale,
        value_weight=weights[2],
        value_bias=biases[2],
        out_proj=attention.out_proj,
        layernorm=head.layernorm,
        mlp=head.mlp,
    )


def attention_weights(
    tokens: torch.Tensor, hidden: torch.Tensor, weights: PoolWeights
) -> torch.Tensor:
    """What each head of a pool looks at; arguments are those of `attention_pool`.

    Returns:
        (B, M, H, N) of the weights' dtype, summing to 1 over N; exactly 0 at hidden patches, and
        NaN where a mask hides every patch.
    """
    logits = torch.einsum("bnd,hd->bhn", tokens, weights.key_query)
    logits = logits[:, None].masked_fill(hidden[:, :, None], float("-inf"))
    return logits.softmax(dim=-1)


def attention_pool(
    tokens: torch.Tensor, hidden: torch.Tensor, weights: PoolWeights
) -> torch.Tensor:
    """Pool the tokens that are not hidden; differentiable in tokens and weights.

    Args:
        tokens: (B, N, D) patch tokens, in the dtype of the weights.
        hidden: (B, M, N) bool, M masks an image; True is invisible (key padding mask).

    Returns:
        (B, M, D) of that dtype; NaN where a mask hides every patch.

    Example:
        One head that counts its first patch three times as much, then with that patch hidden.

        >>> same = torch.nn.Identity()
        >>> key_query = torch.tensor([[3.0, 1.0]]).log()
        >>> weights = PoolWeights(
        ...     key_query, torch.eye(2)[None], torch.zeros(1, 2), same, same, torch.zeros_like
        ... )
        >>> hidden = torch.tensor([[[False, False], [True, False]]])
        >>> attention_pool(torch.eye(2)[None], hidden, weights)
        tensor([[[0.7500, 0.2500],
                 [0.0000, 1.0000]]])
    """
    attention = attention_weights(tokens, hidden, weights)
    mixed = torch.einsum("bmhn,bnd->bmhd", attention, tokens)
    values = torch.einsum("bmhd,hed->bmhe", mixed, weights.value_weight) + weights.value_bias
    residual = weights.out_proj(values.flatten(-2))
    return residual + weights.mlp(weights.layernorm(residual))


class AttentionPool(nn.Module):
    """`attention_pool` with a head's weights as they are now, in float32 and frozen.

    Args:
        head: `model.vision_model.head` of a SigLIP or SigLIP2 model.
    """

    @torch.no_grad()
    def __init__(self, head: Any) -> None:
        super().__init__()
        # A copy: the head itself follows its model to another dtype.
        weights = pool_weights(copy.deepcopy(head).float())
        self.register_buffer("key_query", weights.key_query)
        # Cloned, for they are views that would keep the projections of queries and keys alive.
        self.register_buffer("value_weight", weights.value_weight.clone())
        self.register_buffer("value_bias", weights.value_bias.clone())
        self.out_proj, self.layernorm, self.mlp = weights.out_proj, weights.layernorm, weights.mlp
        self.requires_grad_(False)

    key_query: torch.Tensor
    value_weight: torch.Tensor
    value_bias: torch.Tensor

    def forward(self, tokens: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Pool the tokens that are not hidden.

        Args:
            tokens: (B, N, D) patch tokens, any float dtype.
            hidden: (B, M, N) bool, as in `attention_pool`.

        Returns:
            (B, M, D) in the dtype of the weights; NaN where a mask hides every patch.
        """
        return attention_pool(tokens.to(self.key_query.dtype), hidden, self._weights())

    def attention(self, tokens: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """What `forward` mixes the tokens by: float32, as `attention_weights` gives it."""
        return attention_weights(tokens.to(self.key_query.dtype), hidden, self._weights())

    def _weights(self) -> PoolWeights:
        return PoolWeights(
            self.key_query,
            self.value_weight,
            self.value_bias,
            self.out_proj,
            self.layernorm,
            self.mlp,
        )

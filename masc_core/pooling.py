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
from typing import Any

import torch
from torch import nn


class AttentionPool(nn.Module):
    """The pooling head of a SigLIP vision tower, as float32 tensors.

    Args:
        head: `model.vision_model.head` of a SigLIP or SigLIP2 model.
    """

    def __init__(self, head: Any) -> None:
        super().__init__()
        attention = head.attention
        assert isinstance(attention, nn.MultiheadAttention)
        dim, n_heads = attention.embed_dim, attention.num_heads
        weights = attention.in_proj_weight.detach().float().reshape(3, n_heads, dim // n_heads, dim)
        biases = attention.in_proj_bias.detach().float().reshape(3, n_heads, dim // n_heads)
        probe = head.probe.detach().float().reshape(dim)
        query = torch.einsum("hed,d->he", weights[0], probe) + biases[0]
        scale = (dim // n_heads) ** -0.5
        self.register_buffer("key_query", torch.einsum("he,hed->hd", query, weights[1]) * scale)
        self.register_buffer("value_weight", weights[2].clone())
        self.register_buffer("value_bias", biases[2].clone())
        # Copies: the head itself follows its model to another dtype.
        self.out_proj: nn.Module = copy.deepcopy(attention.out_proj).float()
        self.layernorm: nn.Module = copy.deepcopy(head.layernorm).float()
        self.mlp: nn.Module = copy.deepcopy(head.mlp).float()

    key_query: torch.Tensor
    value_weight: torch.Tensor
    value_bias: torch.Tensor

    def forward(self, tokens: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Pool the tokens that are not hidden.

        Args:
            tokens: (B, N, D) patch tokens, any float dtype.
            hidden: (B, M, N) bool, M masks an image; True is invisible (key padding mask).

        Returns:
            float32 (B, M, D); NaN where a mask hides every patch.
        """
        tokens = tokens.float()
        logits = torch.einsum("bnd,hd->bhn", tokens, self.key_query)
        logits = logits[:, None].masked_fill(hidden[:, :, None], float("-inf"))
        attention = logits.softmax(dim=-1)  # (B, M, heads, N)
        mixed = torch.einsum("bmhn,bnd->bmhd", attention, tokens)
        values = torch.einsum("bmhd,hed->bmhe", mixed, self.value_weight) + self.value_bias
        residual = self.out_proj(values.flatten(-2))
        return residual + self.mlp(self.layernorm(residual))

"""One batch of Safe-RLHF's PPO-Lagrangian, restated in PyTorch, on the golden models `llama` (policy) and score `llama` (critic).

usage: python oracles/ppo.py        after dpo.py and reward.py; writes test/golden/train/ppo.json, ppo-policy.*, ppo-critic.*

Advantages come from their definition, the sum over l of (gamma lambda)^l delta_{t+l}, as a product with a matrix; losses and
gradients from autograd. Old log-probabilities and old values differ from the present ones, so that the clips bite. A mean is
over the tokens of a response, then over responses.
ppo.json: {options, rollouts, episodes, policyLoss, critic}: an episode has the scores of a reward and two costs, what they
make of every token, and the advantages of each and of the Lagrangian. The critic's head is the adapter's, with a bias.
"""

import torch
from peft import get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from common import GOLDEN, random_ids, rounded, write_json
from training import TRAIN, gradients, load_into, lora

KL, GAMMA, LAMBDA, CLIP_RATIO, CLIP_VALUE, CLIP_SCORE = 0.3, 0.97, 0.9, 0.2, 0.5, 1.5
MULTIPLIERS = [0.7, 0.4]

gen = torch.Generator().manual_seed(17)
noise = lambda *size, std: torch.randn(size, generator=gen) * std
PROMPTS = [random_ids(gen, n) for n in (4, 7, 3)]
ROLLOUTS = [(PROMPTS[p], random_ids(gen, n)) for p, n in ((0, 6), (1, 1), (2, 9), (0, 4))]


def load(kind, folder, adapter, task):
    peft = get_peft_model(kind.from_pretrained(GOLDEN / folder, dtype=torch.float32), lora(task))
    load_into(peft, TRAIN / adapter)
    return peft


def token_scores(score, kl, coefficient):
    scores = coefficient * kl
    scores[-1] += score
    return scores.clamp(-CLIP_SCORE, CLIP_SCORE)


def advantages(rewards, values):
    n = len(rewards)
    deltas = rewards + GAMMA * torch.cat([values[1:], values.new_zeros(1)]) - values
    lag = torch.arange(n)[None, :] - torch.arange(n)[:, None]
    return torch.where(lag >= 0, (GAMMA * LAMBDA) ** lag.clamp(min=0).double(), 0.0) @ deltas


def episode(logprobs):
    """What is known of a response when it has been drawn; all in double precision."""
    old = (logprobs + noise(len(logprobs), std=0.25)).double()
    reference = old + noise(len(logprobs), std=0.8).double()
    scores = noise(3, std=1.0).double()
    values = noise(3, len(logprobs), std=0.6).double()
    tokens = [token_scores(scores[j], old - reference, KL / 2 * (-1 if j == 0 else 1)) for j in range(3)]
    each = torch.stack([advantages(tokens[j], values[j]) for j in range(3)])
    combined = (each[0] - sum(m * a for m, a in zip(MULTIPLIERS, each[1:]))) / (1 + sum(MULTIPLIERS))
    return dict(
        old=old, reference=reference, scores=scores, values=values, tokens=torch.stack(tokens), advantages=each, combined=combined
    )


def logprobs_of(model):
    for prompt, response in ROLLOUTS:
        logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
        yield logits.log_softmax(-1)[torch.arange(len(response)), response]


def values_of(model, bias):
    for prompt, response in ROLLOUTS:
        hidden = model.model(torch.tensor([prompt + response])).last_hidden_state[0, len(prompt) - 1 : -1]
        yield model.score(hidden)[:, 0] + bias


def mean_over_tokens(terms):
    return torch.stack([t.mean() for t in terms]).mean()


def policy():
    peft = load(AutoModelForCausalLM, "models/llama", "lora", "CAUSAL_LM")
    logprobs = list(logprobs_of(peft))
    episodes = [episode(lp.detach()) for lp in logprobs]
    terms = []
    for lp, known in zip(logprobs, episodes):
        ratio, a = (lp - known["old"].float()).exp(), known["combined"].float()
        terms.append(torch.minimum(ratio * a, ratio.clamp(1 - CLIP_RATIO, 1 + CLIP_RATIO) * a))
    loss = -mean_over_tokens(terms)
    loss.backward()
    save_file(gradients(peft), TRAIN / "ppo-policy.safetensors")
    listed = [dict(logprobs=rounded(lp), **{k: rounded(v, 15) for k, v in e.items()}) for lp, e in zip(logprobs, episodes)]
    return listed, rounded(loss.item())


def critic():
    peft = load(AutoModelForSequenceClassification, "scores/llama", "lora-score", "SEQ_CLS")
    bias = noise(1, std=0.3).requires_grad_()
    listed, terms = [], []
    for v in values_of(peft.base_model.model, bias):
        old = v.detach() + noise(len(v), std=0.6)
        returns = v.detach() + noise(len(v), std=1.0)
        clipped = torch.minimum(torch.maximum(v, old - CLIP_VALUE), old + CLIP_VALUE)
        terms.append(torch.maximum((v - returns) ** 2, (clipped - returns) ** 2))
        listed.append(dict(values=rounded(v), old=rounded(old), returns=rounded(returns)))
    loss = 0.5 * mean_over_tokens(terms)
    loss.backward()
    save_file({**gradients(peft), "bias": bias.grad}, TRAIN / "ppo-critic.safetensors")
    return dict(bias=rounded(bias.item()), episodes=listed, loss=rounded(loss.item()))


if __name__ == "__main__":
    options = dict(klCoefficient=KL, gamma=GAMMA, gaeLambda=LAMBDA, clipRatio=CLIP_RATIO, clipValue=CLIP_VALUE)
    options |= dict(clipScore=CLIP_SCORE, multipliers=MULTIPLIERS)
    rollouts = [dict(prompt=p, response=r) for p, r in ROLLOUTS]
    episodes, loss = policy()
    write_json(
        TRAIN / "ppo.json", dict(options=options, rollouts=rollouts, episodes=episodes, policyLoss=loss, critic=critic())
    )
    print("ppo", loss)

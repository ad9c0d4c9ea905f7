"""vLLM's CPU build as a worker, in an environment of its own: python -m bench.vllm_peer FOLDER DTYPE ROWS STEPS."""

import sys
from typing import Any

from bench.worker import Answer, serve

POSITIONS = 128


class Vllm:
    """Prefix caching is off, or every round after the first would find its contexts ready."""

    def __init__(self, folder: str, dtype: str, rows: int, steps: int) -> None:
        from vllm import LLM, SamplingParams  # type: ignore[import-not-found]

        self.model = LLM(
            model=folder,
            skip_tokenizer_init=True,
            dtype=dtype,
            max_num_seqs=rows,
            max_model_len=POSITIONS,
            max_num_batched_tokens=max(4096, rows * POSITIONS // 2),
            enable_prefix_caching=False,
        )
        self.greedy = SamplingParams(
            temperature=0, max_tokens=steps, min_tokens=steps, ignore_eos=True, detokenize=False
        )

    def score(self, context: list[list[int]]) -> Answer:
        """Greedy tokens of each row."""
        prompts: list[Any] = [{"prompt_token_ids": row} for row in context]
        outputs = self.model.generate(prompts, self.greedy, use_tqdm=False)
        return {"tokens": [list(output.outputs[0].token_ids) for output in outputs]}


if __name__ == "__main__":
    folder, dtype, rows, steps = sys.argv[1:]
    serve(lambda: Vllm(folder, dtype, int(rows), int(steps)), ["vllm", "torch", "transformers"])

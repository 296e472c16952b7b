"""A tiny BERT, trained from nothing by transformers' Trainer on images as sentences of 64 brightnesses."""
import argparse

import numpy as np
from sklearn.datasets import load_digits
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float, default=1e-3)
parser.add_argument("--layers", type=int, default=1)
args = parser.parse_args()

set_seed(0)
x, y = load_digits(return_X_y=True)
rows = [{"input_ids": pixels.astype(int), "labels": int(label)} for pixels, label in zip(x, y)]
config = BertConfig(vocab_size=17, hidden_size=32, num_hidden_layers=args.layers, num_attention_heads=2,
                    intermediate_size=64, max_position_embeddings=64, num_labels=10)


def compute_metrics(prediction):
    return {"accuracy": (np.argmax(prediction.predictions, axis=1) == prediction.label_ids).mean()}


trainer = Trainer(
    model=BertForSequenceClassification(config),
    args=TrainingArguments(output_dir="digits-model", num_train_epochs=3, learning_rate=args.learning_rate,
                           per_device_train_batch_size=32, eval_strategy="epoch", save_strategy="no",
                           logging_steps=10, report_to="tensorboard", use_cpu=True, disable_tqdm=True),
    train_dataset=rows[:1400],
    eval_dataset=rows[1400:],
    compute_metrics=compute_metrics,
)
trainer.train()

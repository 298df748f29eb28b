//! candle-embed MODEL BATCH: embeds the lines of standard input with candle, as examples/embed does with --batch BATCH,
//! and prints how long that took without start-up: "SENTENCES SECONDS START-UP-SECONDS". With BATCH 0 it prints the
//! embedding of each line instead.
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, DTYPE};
use std::{io::BufRead, path::Path, time::Instant};
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};

fn embed(model: &BertModel, tokenizer: &Tokenizer, lines: &[String]) -> Result<Vec<Vec<f32>>> {
    let device = Device::Cpu;
    let rows = tokenizer.encode_batch(lines.to_vec(), true).map_err(candle_core::Error::msg)?;
    let width = rows[0].get_ids().len();
    let stack = |pick: fn(&tokenizers::Encoding) -> &[u32]| -> Result<Tensor> {
        let all: Vec<u32> = rows.iter().flat_map(|row| pick(row).to_vec()).collect();
        Tensor::from_vec(all, (rows.len(), width), &device)
    };
    let ids = stack(|row| row.get_ids())?;
    let types = stack(|row| row.get_type_ids())?;
    let mask = stack(|row| row.get_attention_mask())?;
    let states = model.forward(&ids, &types, Some(&mask))?;
    let weights = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
    let mean = states.broadcast_mul(&weights)?.sum(1)?.broadcast_div(&weights.sum(1)?)?;
    mean.broadcast_div(&mean.sqr()?.sum_keepdim(1)?.sqrt()?)?.to_vec2::<f32>()
}

fn main() -> Result<()> {
    let started = Instant::now();
    let arguments: Vec<String> = std::env::args().collect();
    let directory = Path::new(&arguments[1]);
    let batch: usize = arguments[2].parse().expect("BATCH is a number");
    let text = std::fs::read_to_string(directory.join("config.json"))?;
    let config: Config = serde_json::from_str(&text).map_err(candle_core::Error::msg)?;
    let mut tokenizer = Tokenizer::from_file(directory.join("tokenizer.json")).map_err(candle_core::Error::msg)?;
    tokenizer.with_padding(Some(PaddingParams::default()));
    tokenizer
        .with_truncation(Some(TruncationParams { max_length: 256, ..Default::default() }))
        .map_err(candle_core::Error::msg)?;
    // SAFETY: nobody changes the file while it is mapped
    let weights =
        unsafe { VarBuilder::from_mmaped_safetensors(&[directory.join("model.safetensors")], DTYPE, &Device::Cpu)? };
    let model = BertModel::load(weights, &config)?;
    let lines: Vec<String> = std::io::stdin().lock().lines().collect::<std::io::Result<_>>()?;
    let start_up = started.elapsed().as_secs_f64();
    if batch == 0 {
        for line in &lines {
            println!("{:?}", embed(&model, &tokenizer, std::slice::from_ref(line))?[0]);
        }
        return Ok(());
    }
    embed(&model, &tokenizer, &lines[..batch.min(lines.len())])?; // warms the caches
    let started = Instant::now();
    for chunk in lines.chunks(batch) {
        std::hint::black_box(embed(&model, &tokenizer, chunk)?);
    }
    println!("{} {:.6} {:.6}", lines.len(), started.elapsed().as_secs_f64(), start_up);
    Ok(())
}

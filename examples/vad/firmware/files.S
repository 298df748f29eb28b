/* The model and the recording, byte for byte, in flash. MODEL_OFFSET moves the model, to show that it may lie
   anywhere. */
    .syntax unified
    .section .files, "a"
    .global model, model_end, recording, recording_end
    .balign 8
    .if MODEL_OFFSET
    .space MODEL_OFFSET
    .endif
model:
    .incbin MODEL
model_end:
    .balign 4
recording:
    .incbin RECORDING
recording_end:

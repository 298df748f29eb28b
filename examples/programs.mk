# programs.mk: how the programs of examples/ are built: make build/examples/NAME. The Makefile of the repository includes it.

EXAMPLE_CFLAGS = -O2 -g
COMMON = examples/common/lib.c examples/common/text.c examples/common/json.c examples/common/progress.c \
	examples/common/aliases.c examples/common/names.c examples/common/settings.c examples/common/words.c \
	examples/common/buffer.c examples/common/options.c
COMMON_HEADERS = safetensors.h examples/common/text.h examples/common/json.h examples/common/progress.h \
	examples/common/aliases.h examples/common/names.h examples/common/settings.h examples/common/words.h \
	examples/common/buffer.h examples/common/options.h
EXAMPLE = @mkdir -p build/examples; $(CC) $(EXAMPLE_CFLAGS) -I.

CKPT = examples/ckpt/main.c examples/ckpt/find.c examples/ckpt/rotate.c examples/ckpt/metrics.c examples/ckpt/model.c \
	examples/ckpt/link.c examples/common/memory.c examples/common/folder.c
build/examples/ckpt: $(COMMON_HEADERS) $(COMMON) $(CKPT) examples/ckpt/ckpt.h examples/common/memory.h \
		examples/common/folder.h
	$(EXAMPLE) $(CKPT) $(COMMON) -o $@

TOKENIZER = examples/tokenizer/tokenizer.c examples/tokenizer/load.c examples/tokenizer/tokens.c \
	examples/tokenizer/wordpiece.c examples/tokenizer/bpe.c examples/tokenizer/normalize.c examples/common/lines.c
TOKENIZER_HEADERS = examples/tokenizer/tokenizer.h examples/tokenizer/tokens.h examples/common/lines.h

EMBED = examples/embed/main.c examples/embed/encoder.c examples/embed/model.c examples/embed/config.c \
	examples/matrix/backend.c $(TOKENIZER)
EMBED_HEADERS = examples/embed/encoder.h examples/embed/model.h examples/embed/config.h examples/matrix/backend.h \
	examples/matrix/kernels.h $(TOKENIZER_HEADERS)
build/examples/embed: $(COMMON_HEADERS) $(COMMON) $(EMBED) $(EMBED_HEADERS)
	$(EXAMPLE) -O3 -pthread $(EMBED) $(COMMON) $(LDFLAGS) -lutf8proc -lm -o $@

build/examples/game: safetensors.h examples/common/lib.c examples/game/main.c examples/game/brain.c examples/game/brain.h
	$(EXAMPLE) examples/game/main.c examples/game/brain.c examples/common/lib.c $$(sdl2-config --cflags --libs) -lm -o $@

HUB = examples/hub/hub.c examples/hub/sha1.c examples/remote/http.c examples/st/sha256.c
HUB_HEADERS = examples/hub/hub.h examples/hub/sha1.h examples/remote/http.h examples/st/sha256.h
build/examples/hub: $(COMMON_HEADERS) $(COMMON) $(HUB) $(HUB_HEADERS) examples/hub/main.c
	$(EXAMPLE) examples/hub/main.c $(HUB) $(COMMON) -lcurl -pthread -o $@

# mpicc calls the compiler that OMPI_CC names
MPI = examples/mpi/main.c examples/mpi/slices.c examples/mpi/save.c
build/examples/mpi: $(COMMON_HEADERS) $(COMMON) $(MPI) examples/mpi/mpi_model.h
	@mkdir -p build/examples
	OMPI_CC="$(CC)" mpicc $(EXAMPLE_CFLAGS) -I. $(MPI) $(COMMON) -o $@

PT2ST = examples/pt2st/main.c examples/pt2st/input.c examples/pt2st/archive.c examples/pt2st/rebuild.c \
	examples/pt2st/tensors.c examples/common/pickle.c examples/common/guard.c examples/common/strided.c \
	examples/common/zip/zip.c
build/examples/pt2st: $(COMMON_HEADERS) $(COMMON) $(PT2ST) examples/pt2st/pt2st.h examples/common/pickle.h \
		examples/common/guard.h examples/common/strided.h examples/common/zip/zip.h
	$(EXAMPLE) $(PT2ST) $(COMMON) -lz -o $@

build/examples/python: safetensors.h examples/python/safetensors_c.py
	@mkdir -p $@
	cp examples/python/safetensors_c.py $@
	$(CC) $(EXAMPLE_CFLAGS) -shared -fPIC -x c -DST_IMPLEMENTATION safetensors.h -o $@/libsafetensors_c.so
	@touch $@

QUANT = examples/quant/main.c examples/quant/files.c examples/quant/int8.c
build/examples/quant: $(COMMON_HEADERS) $(COMMON) $(QUANT) examples/quant/int8.h examples/quant/quant.h
	$(EXAMPLE) $(QUANT) $(COMMON) -lm -o $@

REGISTRY = examples/registry/main.c examples/registry/registry.c examples/registry/store.c
build/examples/registry: $(COMMON_HEADERS) $(COMMON) $(REGISTRY) examples/registry/registry.h
	$(EXAMPLE) $(REGISTRY) $(COMMON) -o $@

REMOTE = examples/remote/main.c examples/remote/blocks.c
build/examples/remote: $(COMMON_HEADERS) $(COMMON) $(REMOTE) $(HUB) $(HUB_HEADERS) examples/remote/blocks.h
	$(EXAMPLE) $(REMOTE) $(HUB) $(COMMON) -lcurl -lz -pthread -o $@

STATE_DICT = examples/state_dict/main.c examples/state_dict/apply.c examples/state_dict/augment.c examples/state_dict/dict.c
build/examples/state_dict: $(COMMON_HEADERS) $(COMMON) $(STATE_DICT) examples/state_dict/dict.h
	$(EXAMPLE) $(STATE_DICT) $(COMMON) -o $@

build/examples/tokenizer: $(COMMON_HEADERS) $(COMMON) $(TOKENIZER) $(TOKENIZER_HEADERS) examples/tokenizer/main.c
	$(EXAMPLE) examples/tokenizer/main.c $(TOKENIZER) $(COMMON) -lutf8proc -o $@

# no fused multiply-add, so that every compiler computes the same bits
TRAIN = examples/train/main.c examples/train/tensor.c examples/train/ops_extra.c examples/train/model.c \
	examples/train/checkpoint.c examples/train/picture.c tests/examples/train_gradients.c
build/examples/train: $(COMMON_HEADERS) $(COMMON) $(TRAIN) examples/train/train.h
	$(EXAMPLE) -ffp-contract=off $(TRAIN) $(COMMON) -lm -o $@

VAD = examples/vad/main.c examples/vad/segments.c examples/vad/vad.c examples/vad/wav.c
build/examples/vad: $(COMMON_HEADERS) $(COMMON) $(VAD) examples/vad/segments.h examples/vad/vad.h examples/vad/wav.h
	$(EXAMPLE) $(VAD) $(COMMON) -lm -o $@

# The same detector on a Cortex-M4 and on a Cortex-M7, with the model and the first 2 s of the recording in flash.
VAD_MODEL = ../shared/real/silero_vad_16k.safetensors
VAD_WAV = ../shared/real/speech_16k.wav
VAD_WAV_BYTES = 65580
VAD_MODEL_OFFSET = 0
VAD_FIRMWARE_CFLAGS =
VAD_FIRMWARE = examples/vad/vad.c examples/vad/wav.c examples/vad/firmware/main.c examples/vad/firmware/board.c
VAD_FIRMWARE_FILES = safetensors.h examples/vad/vad.h examples/vad/wav.h examples/vad/firmware/board.h \
	examples/vad/firmware/board.ld examples/vad/firmware/files.S $(VAD_FIRMWARE) $(VAD_MODEL) $(VAD_WAV)
VAD_FIRMWARE_CC = @mkdir -p build/examples; head -c $(VAD_WAV_BYTES) "$(VAD_WAV)" >$@.wav; \
	arm-none-eabi-gcc -std=gnu99 -O2 -mthumb -mfloat-abi=hard -fno-math-errno -ffunction-sections -fdata-sections -I. \
	-nostartfiles -Wl,--gc-sections,-T,examples/vad/firmware/board.ld -DMODEL='"$(VAD_MODEL)"' -DRECORDING='"$@.wav"' \
	-DMODEL_OFFSET=$(VAD_MODEL_OFFSET) $(VAD_FIRMWARE_CFLAGS) examples/vad/firmware/files.S $(VAD_FIRMWARE)

build/examples/vad-firmware.elf: $(VAD_FIRMWARE_FILES)
	$(VAD_FIRMWARE_CC) -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -o $@

build/examples/vad-firmware-m7.elf: $(VAD_FIRMWARE_FILES)
	$(VAD_FIRMWARE_CC) -mcpu=cortex-m7 -mfpu=fpv5-sp-d16 -o $@

build/examples/weight_map: $(COMMON_HEADERS) $(COMMON) examples/weight_map/main.c
	$(EXAMPLE) examples/weight_map/main.c $(COMMON) -o $@

/* hub: downloads models from the Hugging Face hub into the cache that st_open_hub and huggingface_hub read.
 *
 *     cc -O2 -I. examples/hub/[a-z]*.c examples/common/[a-z]*.c examples/remote/http.c examples/st/sha256.c \
 *         -lcurl -pthread -o hub
 *
 *     ./hub fetch owner/name --include '*.safetensors'
 *     ./hub fetch owner/name@refs/pr/1 config.json model.safetensors
 *     ./hub info owner/name
 *
 * examples/remote has the same commands, and reads models without downloading them. For POSIX systems. */
#include "hub.h"

int main(int argc, char **argv) {
    return hub_main("hub", argc, argv);
}

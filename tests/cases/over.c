/* over FILE: loads a model, changes its metadata and saves it to the very path while it is open. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>

int main(int argc, char **argv) {
    st_pair step = ST_ZERO_INIT;
    st_contents contents;
    st_status status;
    st_model *model;
    st_error error;
    float v[3] = {0, 0, 0};
    if (argc != 2 || st_open(&model, argv[1], NULL, &error)) return 1;
    step.key = "step", step.value = "2";
    contents = st_contents_of(model);
    contents.metadata = &step, contents.metadata_count = 1;
    status = st_save(argv[1], &contents, NULL, &error);
    printf("save: %s\n", status ? error.message : st_status_name(status));
    if (st_read(model, &model->tensors[0], 0, v, sizeof v, &error)) puts(error.message);
    printf("old model: %g %g %g\n", v[0], v[1], v[2]);
    st_close(model);
    status = st_edit_metadata(argv[1], &step, 1, NULL, &error);
    printf("edit: %s\n", status ? error.message : st_status_name(status));
    if (st_open(&model, argv[1], NULL, &error)) return 1;
    if (st_read(model, &model->tensors[0], 0, v, sizeof v, &error)) return 1;
    printf("new file: %g %g %g, step %s\n", v[0], v[1], v[2], st_find_metadata(model, "step")->value);
    st_close(model);
    return 0;
}

/* lora.h: what the files of st merge-lora share. */
#ifndef ST_TOOL_LORA_H
#define ST_TOOL_LORA_H

#include "st.h"

/* ---- the adapter's settings: adapter_config.json, or "lora_adapter_metadata" in the file's metadata --------- */

typedef struct lora_pattern { /* for modules whose name is `text`, or ends with "." and `text` */
    const char *text;
    size_t bytes;
    int is_anchored; /* `text` is the whole name */
    double value;
} lora_pattern;

typedef struct lora_patterns {
    lora_pattern *items;
    size_t count;
} lora_patterns;

typedef struct lora_settings { /* of the modules whose name starts with `prefix`, such as "transformer." */
    const char *prefix;
    size_t prefix_bytes;
    double rank, alpha; /* below 0: not given */
    int has_root_scale; /* use_rslora: alpha / sqrt(rank) */
    int is_transposed;  /* fan_in_fan_out: linear weights are stored as [in, out] */
    lora_patterns ranks, alphas;
} lora_settings;

enum { LORA_COMPONENTS = 16 };

typedef struct lora_config {
    char *path; /* of adapter_config.json, or a copy of the adapter's path */
    char *text; /* the JSON, which the names above point into */
    lora_settings components[LORA_COMPONENTS];
    size_t count;
} lora_config;

/* Reads the settings that belong to an open adapter; without any, config->count is 0. Returns an exit code after a
 * message. */
int lora_config_read(lora_config *config, const st_model *adapter);
void lora_config_end(lora_config *config); /* also after lora_config_read failed */
/* Returns the settings of a module, or NULL, and sets *rest to its name without their prefix. */
const lora_settings *lora_settings_of(const lora_config *config, const char *name, size_t bytes, const char **rest);
/* Returns the value of the first pattern that matches, or `otherwise`. */
double lora_pattern_value(const lora_patterns *patterns, const char *name, size_t bytes, double otherwise);

/* ---- which adapter tensors change which tensor of BASE (lora_names.c) --------------------------------------- */

typedef struct lora_module {
    const char *name; /* in LORA, without .lora_A.weight or another ending */
    size_t bytes;
    const st_tensor *down, *up, *alpha_tensor; /* lora_A, lora_B */
    const st_tensor *base;
    int is_peft;      /* called lora_A and lora_B, of which no alpha is known without settings */
    int is_processor; /* of the form processor.to_q_lora */
    int is_transposed;
    uint64_t rank;
    double alpha, factor; /* factor: what up x down is multiplied by */
} lora_module;

typedef struct lora {
    const char *path; /* LORA, as given */
    const st_model *adapter, *base;
    tensor_choice chosen; /* the adapter tensors to use, and their names */
    lora_config config;
    const char *alpha_given, *scale_given;
    double alpha, scale;
    lora_module *modules;
    size_t count;
    const lora_module **changed; /* for each tensor of BASE, the module that changes it, or NULL */
    uint64_t problems;           /* reported */
    int needs_alpha;             /* a module's alpha is not known */
} lora;

/* Finds the modules and checks them. Returns an exit code; writes a line for each problem, up to a limit. */
int lora_pair(lora *l);
void lora_pair_end(lora *l); /* also after lora_pair failed */

/* The next two start and end a line about a problem. The line is written only if the first returned 1. */
int lora_problem(lora *l, const char *name, size_t bytes);
void lora_problem_end(void);

/* lora_base.c: sets module->base. Reports a module whose tensor BASE lacks, or of which several tensors could be meant. */
int lora_find_bases(lora *l);

/* lora_ldm.c: writes the name in a checkpoint of Stable Diffusion of a module of diffusers' U-Net, both with "_" for ".",
 * by one of the rules. Returns its length, up to 16 bytes more than that of the name, or 0 if the rule does not apply. */
enum { LORA_LDM_RULES = 14 };
size_t lora_ldm_name(size_t rule, const char *name, size_t bytes, char *to);

#endif

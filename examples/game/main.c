/* game: a ship that a tiny network steers. Replace the network's file while the game runs, and the next frame uses the new
 * one; if the new file is no network, the ship goes on with the old one and the error is shown.
 *
 *     cc -O2 -I. examples/game/main.c examples/game/brain.c examples/common/lib.c \
 *        $(pkg-config --cflags --libs sdl2) -lm -o game
 *
 *     ./game --make brain.safetensors --behaviour seek
 *     ./game brain.safetensors &
 *     ./game --make brain.safetensors --behaviour orbit    # or edit it, or train it
 *
 * SDL2 draws, and stb_easy_font.h (Debian: libstb-dev) writes the text. */
#include "brain.h"
#include <SDL.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stb/stb_easy_font.h>

enum { WIDTH = 640, HEIGHT = 400, TRAIL = 90, MARGIN = 8 };

typedef struct ship {
    float x, y, vx, vy;
} ship;

typedef struct world {
    ship ship;
    SDL_FPoint trail[TRAIL]; /* a ring; the newest is at frame % TRAIL */
    unsigned frame;
} world;

typedef struct settings {
    const char *model, *make, *behaviour, *screenshot;
    unsigned long frames, wait_at; /* 0: run until the window is closed; do not wait */
} settings;

/* ---- the world ---------------------------------------------------------------------------------------------- */

/* The target runs along a curve, in units of the window's height. */
static SDL_FPoint target_at(unsigned frame) {
    const float t = (float)frame / 60;
    SDL_FPoint p;
    p.x = 0.8f + 0.5f * sinf(0.7f * t);
    p.y = 0.5f + 0.3f * sinf(1.1f * t);
    return p;
}

static float clamp(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

/* One frame of 1/60 s. `b` does not change before the frame ends. */
static void world_step(world *w, const brain *b) {
    const SDL_FPoint target = target_at(w->frame);
    const float dt = 1.0f / 60, power = 4;
    ship *s = &w->ship;
    float inputs[INPUTS], thrust[OUTPUTS];
    inputs[0] = target.x - s->x;
    inputs[1] = target.y - s->y;
    inputs[2] = s->vx;
    inputs[3] = s->vy;
    brain_think(b, inputs, thrust);
    s->vx += power * thrust[0] * dt;
    s->vy += power * thrust[1] * dt;
    s->x += s->vx * dt;
    s->y += s->vy * dt;
    if (s->x < 0.03f || s->x > 1.57f) s->vx = -s->vx / 2;
    if (s->y < 0.03f || s->y > 0.97f) s->vy = -s->vy / 2;
    s->x = clamp(s->x, 0.03f, 1.57f);
    s->y = clamp(s->y, 0.03f, 0.97f);
    w->frame++;
    w->trail[w->frame % TRAIL].x = s->x * HEIGHT;
    w->trail[w->frame % TRAIL].y = s->y * HEIGHT;
}

static void world_begin(world *w) {
    size_t i;
    memset(w, 0, sizeof *w);
    w->ship.x = 0.2f;
    w->ship.y = 0.8f;
    for (i = 0; i < TRAIL; i++) {
        w->trail[i].x = w->ship.x * HEIGHT;
        w->trail[i].y = w->ship.y * HEIGHT;
    }
}

/* ---- drawing ------------------------------------------------------------------------------------------------ */

static void set_color(SDL_Renderer *r, unsigned rgb) {
    SDL_SetRenderDrawColor(r, (Uint8)(rgb >> 16), (Uint8)(rgb >> 8 & 255), (Uint8)(rgb & 255), 255);
}

static void fill(SDL_Renderer *r, float x, float y, float width, float height) {
    SDL_FRect rect;
    rect.x = x;
    rect.y = y;
    rect.w = width;
    rect.h = height;
    SDL_RenderFillRectF(r, &rect);
}

/* Draws ASCII text; messages of the library are escaped, so other bytes are UTF-8 of names and shown as they come. */
static void draw_text(SDL_Renderer *r, float x, float y, const char *text) {
    static struct {
        float x, y, z;
        unsigned char color[4];
    } corners[4 * 4000];
    char line[256];
    int quads, i;
    size_t n = 0;
    for (; text[n] && n < sizeof line - 1; n++) line[n] = text[n] < 32 || text[n] > 126 ? '?' : text[n];
    line[n] = 0;
    quads = stb_easy_font_print(0, 0, line, NULL, corners, (int)sizeof corners);
    for (i = 0; i < quads; i++) {
        fill(r, x + corners[4 * i].x, y + corners[4 * i].y, corners[4 * i + 2].x - corners[4 * i].x,
             corners[4 * i + 2].y - corners[4 * i].y);
    }
}

/* A weight is a cell: blue below zero, orange above. */
static void draw_matrix(SDL_Renderer *r, float x, float y, const float *numbers, unsigned rows, unsigned columns) {
    unsigned i, k;
    for (i = 0; i < rows; i++) {
        for (k = 0; k < columns; k++) {
            const float v = clamp(numbers[i * columns + k] / 3, -1, 1), strength = v < 0 ? -v : v;
            const unsigned bright = (unsigned)(40 + 200 * strength), dim = (unsigned)(40 + 60 * strength);
            set_color(r, v < 0 ? (40u << 16 | dim << 8 | bright) : (bright << 16 | dim << 8 | 40u));
            fill(r, x + 10 * (float)k, y + 10 * (float)i, 9, 9);
        }
    }
}

static void draw_ship(SDL_Renderer *r, const ship *s) {
    const float angle = atan2f(s->vy, s->vx), c = cosf(angle), n = sinf(angle);
    static const float points[3][2] = {{14, 0}, {-9, 8}, {-9, -8}};
    SDL_Vertex corners[3];
    int i;
    memset(corners, 0, sizeof corners);
    for (i = 0; i < 3; i++) {
        corners[i].position.x = s->x * HEIGHT + points[i][0] * c - points[i][1] * n;
        corners[i].position.y = s->y * HEIGHT + points[i][0] * n + points[i][1] * c;
        corners[i].color.r = 240;
        corners[i].color.g = 200;
        corners[i].color.b = 80;
        corners[i].color.a = 255;
    }
    SDL_RenderGeometry(r, NULL, corners, 3, NULL, 0);
}

static void draw(SDL_Renderer *r, const world *w, const hot_brain *hot) {
    const SDL_FPoint target = target_at(w->frame);
    unsigned i;
    set_color(r, 0x14181f);
    SDL_RenderClear(r);
    for (i = 1; i < TRAIL; i++) {
        const SDL_FPoint *p = &w->trail[(w->frame + i) % TRAIL]; /* the oldest first */
        set_color(r, (20 + i) << 16 | (24 + i / 2) << 8 | 40);
        fill(r, p->x - 2, p->y - 2, 4, 4);
    }
    set_color(r, 0x58c470);
    fill(r, target.x * HEIGHT - 6, target.y * HEIGHT - 6, 12, 12);
    draw_ship(r, &w->ship);
    draw_matrix(r, MARGIN, MARGIN, hot->current->w1, hot->current->hidden, INPUTS);
    draw_matrix(r, MARGIN + 50, MARGIN, hot->current->w2, OUTPUTS, hot->current->hidden);
    if (hot->error.status) {
        set_color(r, 0xa02828);
        fill(r, 0, HEIGHT - 24, WIDTH, 24);
        set_color(r, 0xffffff);
        draw_text(r, MARGIN, HEIGHT - 15, hot->error.message);
    }
    SDL_RenderPresent(r);
}

static int save_screenshot(SDL_Renderer *r, const char *path) {
    SDL_Surface *picture = SDL_CreateRGBSurfaceWithFormat(0, WIDTH, HEIGHT, 24, SDL_PIXELFORMAT_BGR24);
    int failed = !picture || SDL_RenderReadPixels(r, NULL, SDL_PIXELFORMAT_BGR24, picture->pixels, picture->pitch) ||
                 SDL_SaveBMP(picture, path);
    if (failed) fprintf(stderr, "game: %s: %s\n", path, SDL_GetError());
    SDL_FreeSurface(picture);
    return failed;
}

/* ---- the loop ----------------------------------------------------------------------------------------------- */

static int wants_to_quit(void) {
    SDL_Event event;
    while (SDL_PollEvent(&event)) {
        if (event.type == SDL_QUIT || (event.type == SDL_KEYDOWN && event.key.keysym.sym == SDLK_ESCAPE)) return 1;
    }
    return 0;
}

static int run(const settings *set, hot_brain *hot, SDL_Renderer *r) {
    static world w;
    int c;
    world_begin(&w);
    for (;;) {
        if (hot_brain_poll(hot)) {
            if (hot->error.status)
                fprintf(stderr, "game: %s; the ship goes on with the old brain\n", hot->error.message);
            if (!hot->error.status) printf("brain %u from frame %u on\n", hot->loads, w.frame);
            fflush(stdout);
        }
        world_step(&w, hot->current);
        draw(r, &w, hot);
        if (wants_to_quit() || (set->frames && w.frame >= set->frames)) break;
        if (set->wait_at && w.frame % set->wait_at == 0) {
            puts("waiting for a line");
            fflush(stdout);
            do c = getchar();
            while (c != '\n' && c != EOF);
        }
        if (!set->frames) SDL_Delay(16);
    }
    printf("ship at %.3f %.3f after %u frames\n", (double)w.ship.x, (double)w.ship.y, w.frame);
    if (!set->screenshot) return 0;
    draw(r, &w, hot); /* what was presented cannot be read back */
    return save_screenshot(r, set->screenshot);
}

static int play(const settings *set) {
    static hot_brain hot;
    st_error error;
    SDL_Window *window = NULL;
    SDL_Renderer *r = NULL;
    int failed = 1;
    if (hot_brain_begin(&hot, set->model, &error)) {
        fprintf(stderr, "game: %s\n", error.message);
        return 1;
    }
    if (SDL_Init(SDL_INIT_VIDEO) == 0) {
        window = SDL_CreateWindow("safetensors: a brain that reloads", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED,
                                  WIDTH, HEIGHT, 0);
        if (window) r = SDL_CreateRenderer(window, -1, set->frames ? SDL_RENDERER_SOFTWARE : 0);
    }
    if (r) {
        failed = run(set, &hot, r);
    } else {
        fprintf(stderr, "game: no window: %s\n", SDL_GetError());
    }
    if (r) SDL_DestroyRenderer(r);
    if (window) SDL_DestroyWindow(window);
    SDL_Quit();
    return failed;
}

/* ---- the command line --------------------------------------------------------------------------------------- */

static const char help[] =
    "usage: game MODEL [options]          play; Escape ends the game\n"
    "       game --make MODEL [--behaviour seek|shy|orbit]\n"
    "                                     write a brain: tensors w1 [n,4], b1 [n], w2 [2,n], b2 [2]\n"
    "\n"
    "The game watches MODEL. When the file changes, the next frame uses it.\n"
    "  --frames N          end after N frames, drawn as fast as they can be\n"
    "  --screenshot FILE   save the last frame as a BMP file\n"
    "  --wait N            after every N frames, wait for a line on standard input\n"
    "  --help              show this text\n";

static int usage_error(const char *what, const char *argument) {
    fprintf(stderr, "game: %s%s; try game --help\n", what, argument);
    return 2;
}

static int parse_count(const char *text, unsigned long *number) {
    char *end;
    errno = 0;
    *number = strtoul(text, &end, 10);
    return *text >= '1' && *text <= '9' && *end == 0 && errno == 0 && *number <= 100000000;
}

int main(int argc, char **argv) {
    settings set;
    st_status status;
    st_error error;
    int i;
    memset(&set, 0, sizeof set);
    set.behaviour = "seek";
    for (i = 1; i < argc; i++) {
        const char *option = argv[i];
        if (strcmp(option, "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (option[0] != '-') {
            if (set.model) return usage_error("one model only, not also ", option);
            set.model = option;
            continue;
        }
        if (i + 1 == argc || strncmp(argv[i + 1], "--", 2) == 0) {
            return usage_error("an option that is not known or needs a value: ", option);
        }
        i++;
        if (strcmp(option, "--make") == 0) {
            set.make = argv[i];
        } else if (strcmp(option, "--behaviour") == 0) {
            set.behaviour = argv[i];
        } else if (strcmp(option, "--screenshot") == 0) {
            set.screenshot = argv[i];
        } else if (strcmp(option, "--frames") == 0) {
            if (!parse_count(argv[i], &set.frames)) return usage_error("--frames wants a number, not ", argv[i]);
        } else if (strcmp(option, "--wait") == 0) {
            if (!parse_count(argv[i], &set.wait_at)) return usage_error("--wait wants a number, not ", argv[i]);
        } else {
            return usage_error("unknown option ", option);
        }
    }
    if (set.make) {
        if (set.model) return usage_error("--make writes a file and plays none, so it takes no ", set.model);
        if (!brain_make(set.make, set.behaviour, &status, &error)) {
            return usage_error("no such behaviour: ", set.behaviour);
        }
        if (status) fprintf(stderr, "game: %s\n", error.message);
        return status != ST_OK;
    }
    if (!set.model) return usage_error("which model?", "");
    return play(&set);
}

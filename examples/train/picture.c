/* picture.c: draws the loss as SVG, with colours for a light and a dark page. */
#include "train.h"
#include <math.h>
#include <stdio.h>

void write_picture(const run *r, const char *path) {
    const double steps = r->step > 1 ? (double)(r->step - 1) : 1;
    double most = 1e-30, unit;
    FILE *to = fopen(path, "w");
    size_t i;
    if (!to) fail(path, "cannot write the picture");
    for (i = 0; i < r->step; i++) most = fmax(most, (double)r->losses[i]);
    unit = pow(10, floor(log10(most))) / 5;
    most = unit * ceil(most / unit);
    fputs(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 360\" role=\"img\" aria-label=\"loss by step\">\n"
        "<style>svg{background:#fff;color:#333}text{font:13px sans-serif;fill:currentColor}"
        "path{fill:none;stroke:currentColor;stroke-opacity:.25}.loss{stroke:#0b62c4;stroke-opacity:1;stroke-width:2}"
        "@media(prefers-color-scheme:dark){svg{background:#15181c;color:#d5d9de}.loss{stroke:#6db3ff}}</style>\n"
        "<text x=\"60\" y=\"24\">Mean squared error by step</text><text x=\"340\" y=\"350\">step</text>\n"
        "<text transform=\"translate(14 180)rotate(-90)\">loss</text>\n<g text-anchor=\"end\">\n",
        to);
    for (i = 0; i <= 4; i++) {
        const double part = (double)i / 4, y = 300 - 260 * part, step = floor(steps * part + 0.5);
        fprintf(to, "<path d=\"M60 %gH620\"/><text x=\"52\" y=\"%g\">%.3g</text>", y, y + 4, most * part);
        fprintf(to, "<text x=\"%g\" y=\"320\">%.0f</text>\n", 64 + 560 * step / steps, 1 + step);
    }
    fputs("</g><path class=\"loss\" d=\"", to);
    for (i = 0; i < r->step; i += r->step / 1000 + 1) { /* more points cannot be seen */
        fprintf(to, "%c%.2f %.2f", i ? 'L' : 'M', 60 + 560 * (double)i / steps,
                300 - 260 * (double)r->losses[i] / most);
    }
    fputs("\"/>\n</svg>\n", to);
    if (ferror(to) | fclose(to)) fail(path, "cannot write the picture");
}

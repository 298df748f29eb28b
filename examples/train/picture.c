/* picture.c: draws the loss as SVG, with colours for a light and a dark page. */
#include "train.h"
#include <math.h>
#include <stdio.h>

void write_picture(const run *r, const char *path) {
    const double left = 60, top = 40, width = 560, height = 260, steps = r->step > 1 ? (double)(r->step - 1) : 1;
    const size_t stride = r->step / 1000 + 1; /* a longer line has no more detail that can be seen */
    double most = 0, unit;
    FILE *to = fopen(path, "w");
    size_t i;
    int k;
    if (!to) fail(path, "cannot write the picture");
    for (i = 0; i < r->step; i++) most = fmax(most, (double)r->losses[i]);
    for (unit = pow(10, floor(log10(fmax(most, 1e-30)))); most > 0 && unit * 5 > most * 2; unit /= 2) {}
    fputs(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 360\" role=\"img\" aria-label=\"loss by step\">\n"
        "<style>svg{background:#fff;color:#333}text{font:13px sans-serif;fill:currentColor}"
        "path{fill:none;stroke:currentColor;stroke-opacity:.25}.loss{stroke:#0b62c4;stroke-opacity:1;stroke-width:2}"
        "@media(prefers-color-scheme:dark){svg{background:#15181c;color:#d5d9de}.loss{stroke:#6db3ff}}</style>\n"
        "<text x=\"60\" y=\"24\">Loss (mean squared error) by step</text>\n",
        to);
    most = fmax(unit * ceil(most / unit), 1e-30);
    for (k = 0; k <= 4; k++) {
        const double x = left + width * k / 4, y = top + height * (4 - k) / 4;
        fprintf(to, "<path d=\"M%g %gH%g\"/><text x=\"%g\" y=\"%g\" text-anchor=\"end\">%.3g</text>\n", left, y,
                left + width, left - 8, y + 4, most * k / 4);
        fprintf(to, "<text x=\"%g\" y=\"%g\" text-anchor=\"middle\">%.0f</text>\n", x, top + height + 20,
                1 + steps * k / 4);
    }
    fprintf(to, "<text x=\"340\" y=\"345\" text-anchor=\"middle\">step</text>\n<text transform=\"translate(14 "
                "170)rotate(-90)\" text-anchor=\"middle\">loss</text>\n<path class=\"loss\" d=\"");
    for (i = 0; i < r->step; i += stride) {
        fprintf(to, "%c%.2f %.2f", i ? 'L' : 'M', left + width * (double)i / steps,
                top + height * (1 - (double)r->losses[i] / most));
    }
    fputs("\"/>\n</svg>\n", to);
    if (ferror(to) | fclose(to)) fail(path, "cannot write the picture");
}

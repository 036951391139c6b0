package dev

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// console is the house's start page: where everything is, and what ClickHouse says now.
type console struct {
	house *House
	page  *template.Template
}

// figures are the numbers of the start page, per shop.
type figures struct {
	Shop                                 string
	Inbound, Outbound                    uint64
	Offered, Escalated, Declined, Lapsed uint64
	Blocked                              uint64
}

func newConsole(h *House) (http.Handler, error) {
	page, err := template.New("console").Parse(consolePage)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", &console{house: h, page: page})
	return mux, nil
}

// ServeHTTP shows the start page.
func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	rows, err := readFigures(ctx, c.house.ClickHouse)
	view := struct {
		Links   []Link
		Figures []figures
		Problem string
	}{Links: c.house.Links(), Figures: rows}
	if err != nil {
		view.Problem = err.Error()
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := c.page.Execute(w, view); err != nil {
		slog.Debug("console page", "error", err)
	}
}

// readFigures asks ClickHouse for the start page's numbers.
func readFigures(ctx context.Context, ch driver.Conn) ([]figures, error) {
	const query = `
SELECT shop, sum(inbound), sum(outbound), sum(offered), sum(escalated), sum(declined), sum(lapsed), sum(blocked) FROM (
  SELECT shop, countIf(direction = 'in') AS inbound, countIf(direction = 'out') AS outbound, 0 AS offered, 0 AS escalated, 0 AS declined, 0 AS lapsed, 0 AS blocked FROM handoff.messages GROUP BY shop
  UNION ALL
  SELECT shop, 0, 0, countIf(to_state = 'offered'), countIf(to_state = 'requested'), countIf(to_state = 'declined'), countIf(to_state = 'lapsed'), 0 FROM handoff.episode_events GROUP BY shop
  UNION ALL
  SELECT shop, 0, 0, 0, 0, 0, 0, countIf(block_reason != '') FROM handoff.deliveries GROUP BY shop
) GROUP BY shop ORDER BY shop`
	rows, err := ch.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []figures
	for rows.Next() {
		var f figures
		if err := rows.Scan(&f.Shop, &f.Inbound, &f.Outbound, &f.Offered, &f.Escalated, &f.Declined, &f.Lapsed, &f.Blocked); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

const consolePage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Handoff</title><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="3">
<style>
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:56rem;padding:0 1rem;color:#123}
h1{font-size:1.6rem;margin-bottom:.2rem} h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%} th,td{padding:.4rem .6rem;text-align:right;border-bottom:1px solid #dde}
th:first-child,td:first-child{text-align:left} th{font-weight:600;color:#445}
.links td{text-align:left} .problem{color:#a00}
@media(max-width:700px){
tr,td{display:block} tr:has(th){display:none} tr{border-bottom:1px solid #dde;padding:.4rem 0} td{border:0;padding:.1rem 0}
td[data-name]{display:flex;justify-content:space-between} td[data-name]::before{content:attr(data-name);color:#445} td.shop{font-weight:600}
}
</style></head><body>
<h1>Handoff</h1><p>The development house: everything on this machine, stand-ins for the outside.</p>
<h2>So far</h2>
{{if .Problem}}<p class="problem">ClickHouse: {{.Problem}}</p>{{end}}
<table><tr><th>Shop</th><th>Texts in</th><th>Texts out</th><th>Offered</th><th>Escalated</th><th>Declined</th><th>Lapsed</th><th>Blocked</th></tr>
{{range .Figures}}<tr><td class="shop">{{.Shop}}</td><td data-name="Texts in">{{.Inbound}}</td><td data-name="Texts out">{{.Outbound}}</td><td data-name="Offered">{{.Offered}}</td><td data-name="Escalated">{{.Escalated}}</td><td data-name="Declined">{{.Declined}}</td><td data-name="Lapsed">{{.Lapsed}}</td><td data-name="Blocked">{{.Blocked}}</td></tr>
{{else}}<tr><td colspan="8">Nothing yet.</td></tr>{{end}}</table>
<h2>Where things are</h2>
<table class="links">{{range .Links}}<tr><td>{{.Name}}</td><td><a href="{{.URL}}">{{.URL}}</a></td></tr>{{end}}</table>
</body></html>`

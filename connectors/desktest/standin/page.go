package standin

// TableStyle is the style sheet of the pages that are one table.
// Where the window is as narrow as a phone, a row's cells stand below each other.
const TableStyle = `body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24;background:#f6f7f9}
h1{font-size:1.3rem;margin:0 0 .2rem}p{color:#5a6472;margin:0 0 1.2rem}
table{border-collapse:collapse;width:100%;background:#fff;border:1px solid #dfe3e8}
th,td{text-align:left;padding:.45rem .7rem;border-bottom:1px solid #e9ecf0;vertical-align:top}
th{color:#5a6472;font-weight:600;font-size:.85rem}td.text{white-space:pre-wrap;overflow-wrap:anywhere}em{color:#b3261e}
@media(max-width:700px){tr:has(th){display:none}tr,td{display:block}td{border:0;padding:.1rem .7rem}tr{border-bottom:1px solid #e9ecf0;padding:.35rem 0}}`

// consoleHTML is the page of a stand-in: the list of tickets at the left, one
// ticket's thread with the agent's forms at the right.
const consoleHTML = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
:root{font:15px/1.45 system-ui,sans-serif;color:#1d2733;background:#f4f6f8}
body{margin:0;display:grid;grid-template-columns:minmax(240px,340px) 1fr;min-height:100vh}
nav{background:#fff;border-right:1px solid #dde3ea;overflow:auto}
nav h1{font-size:1rem;margin:0;padding:14px 16px;border-bottom:1px solid #dde3ea}
nav a{display:block;padding:10px 16px;border-bottom:1px solid #eef1f4;color:inherit;text-decoration:none}
nav a:hover,nav a.on{background:#eef4fb}
small{color:#66727f}
.status{float:right;font-size:.75rem;padding:1px 8px;border-radius:9px;background:#e3e8ee}
.status.open,.status.new{background:#ffe3d3;color:#8a3200}.status.solved,.status.closed{background:#dcefdc;color:#1c5a1c}
main{padding:18px 24px;max-width:760px}
.entry{background:#fff;border:1px solid #dde3ea;border-radius:8px;padding:8px 12px;margin:8px 0;white-space:pre-wrap;overflow-wrap:anywhere}
.entry.agent{background:#e9f3ff}.entry.note{background:#fff8dc}.entry.event{background:none;border-style:dashed;color:#66727f}
.entry b{margin-right:8px}
form{background:#fff;border:1px solid #dde3ea;border-radius:8px;padding:12px;margin:12px 0}
textarea{width:100%;box-sizing:border-box;min-height:64px;font:inherit}
button,select,input{font:inherit;padding:3px 10px}
.problem{background:#fdecea;border:1px solid #f0b8b2;color:#8a1c12;border-radius:8px;padding:8px 12px}
nav .back{display:none}
@media(max-width:700px){body{display:block}nav{border-right:0}nav.one a{display:none}nav.one .back{display:block}}
</style></head><body>
<nav{{if .Open}} class="one"{{end}}><h1>{{.Title}} <small>{{len .Tickets}} {{if eq (len .Tickets) 1}}ticket{{else}}tickets{{end}}</small></h1>
<a class="back" href="/">← all tickets</a>
{{$open := .Open}}{{range .Tickets}}<a href="/_tickets/{{.ID}}"{{if $open}}{{if eq $open.ID .ID}} class="on"{{end}}{{end}}>
<span class="status {{.Status}}">{{.Status}}</span><b>#{{.ID}}</b> {{.Subject}}<br><small>{{.Requester}}{{range .Tags}} · {{.}}{{end}}</small></a>
{{else}}<p style="padding:0 16px"><small>No tickets yet.</small></p>{{end}}</nav>
<main>{{with .Problem}}<p class="problem">{{.}}</p>{{end}}
{{$statuses := .Statuses}}{{with .Open}}
<h2>#{{.ID}} {{.Subject}} <span class="status {{.Status}}">{{.Status}}</span></h2>
<p><small>{{.Requester}}{{if ne .Phone .Requester}} {{.Phone}}{{end}} · {{.Channel}}{{if .FollowUpOf}} · follow-up of #{{.FollowUpOf}}{{end}}{{with .Team}} · team {{.}}{{end}}{{with .Assignee}} · assigned to {{.}}{{end}}{{with .Priority}} · priority {{.}}{{end}}{{range .Tags}} · {{.}}{{end}}</small></p>
{{range .Thread}}<div class="entry {{.Kind}}"><b>{{.Author}}</b><small>{{.Kind}} · {{.At.UTC.Format "2006-01-02 15:04:05"}}</small>
{{.Text}}</div>{{end}}
<form method="post" action="/_agent/reply"><input type="hidden" name="page" value="1"><input type="hidden" name="ticket" value="{{.ID}}">
<label>Reply to the customer<textarea name="text" required></textarea></label>
<label>then <select name="status"><option value="">leave status</option>{{range $statuses}}<option>{{.}}</option>{{end}}</select></label>
<button>Send reply</button></form>
<form method="post" action="/_agent/note"><input type="hidden" name="page" value="1"><input type="hidden" name="ticket" value="{{.ID}}">
<label>Internal note<textarea name="text" required></textarea></label><button>Add note</button></form>
<form method="post" action="/_agent/status"><input type="hidden" name="page" value="1"><input type="hidden" name="ticket" value="{{.ID}}">
<label>Status <select name="status">{{$now := .Status}}{{range $statuses}}<option{{if eq . $now}} selected{{end}}>{{.}}</option>{{end}}</select></label>
<button>Set status</button></form>
{{else}}{{if .Tickets}}<p><small>Choose a ticket.</small></p>{{end}}{{end}}</main></body></html>
`

import Mustache

/// The pages' texts.
///
/// No build chain: what stands here is what the browser gets.
enum PortalAssets {
    /// Nothing but our own style and script; nothing inline, so that text from a log can never run.
    static let contentSecurityPolicy = """
        default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; \
        base-uri 'none'; frame-ancestors 'none'
        """

    private static let head = """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><title>{{title}}</title>
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <link rel="stylesheet" href="/portal.css">{{#script}}<script src="/portal.js" defer></script>{{/script}}</head><body>
        <header><a href="/">tentacle-server</a>{{#user}}<form method="post" action="/logout"><span>{{user}}</span>
        <button>Sign out</button></form>{{/user}}</header><main>

        """

    static func login() throws -> MustacheTemplate {
        try MustacheTemplate(
            string: head + """
                <h1>Sign in</h1>
                {{#problem}}<p class="problem">{{problem}}</p>{{/problem}}
                <form method="post" action="/login" class="login">
                <input type="hidden" name="next" value="{{next}}">
                <label>API key <input name="apikey" type="password" autocomplete="off" autofocus required></label>
                <button>Sign in</button></form>
                <p>The administrator's key stands in the file <code>admin-api-key</code> of the server's data folder.</p>
                </main></body></html>

                """
        )
    }

    static func index() throws -> MustacheTemplate {
        try MustacheTemplate(
            string: head + """
                <h1>Recent tasks</h1>
                <table><thead><tr><th>Task</th><th>State</th><th>Queued</th><th>Duration</th></tr></thead><tbody>
                {{#tasks}}<tr><td><a href="/tasks/{{id}}">{{description}}</a></td><td class="{{state}}">{{state}}</td>
                <td>{{queued}}</td><td>{{duration}}</td></tr>
                {{/tasks}}{{^tasks}}<tr><td colspan="4">No tasks yet.</td></tr>{{/tasks}}</tbody></table>
                <h1>Machines</h1>
                <table><thead><tr><th>Name</th><th>Environments</th><th>Roles</th><th>Address</th><th>Health</th></tr></thead><tbody>
                {{#machines}}<tr><td>{{name}}</td><td>{{environments}}</td><td>{{roles}}</td><td><code>{{uri}}</code></td>
                <td class="{{health}}" title="{{summary}}">{{health}}</td></tr>
                {{/machines}}{{^machines}}<tr><td colspan="5">No machines yet: run <code>tentacle register</code> on one.</td></tr>
                {{/machines}}</tbody></table></main></body></html>

                """
        )
    }

    static func task() throws -> MustacheTemplate {
        try MustacheTemplate(
            string: head + """
                <h1>{{description}}</h1>
                <p><strong id="state" class="{{state}}">{{state}}</strong> <span id="error">{{error}}</span></p>
                <p>{{id}} · queued {{queued}} · <a href="/tasks/{{id}}/log">log as text</a></p>
                <div id="log" data-events="/tasks/{{id}}/events"></div>
                <noscript><p>The live log needs JavaScript; <a href="/tasks/{{id}}/log">read it as text</a>.</p></noscript>
                </main></body></html>

                """
        )
    }

    static let css = """
        body{margin:0;font:15px/1.45 system-ui,sans-serif;color:#1b2733;background:#f6f8fa}
        header{display:flex;justify-content:space-between;align-items:center;padding:.6rem 1.2rem;background:#0d3a58}
        header a{color:#fff;font-weight:600;text-decoration:none}header span{color:#cfe3f1;margin-right:.8rem}
        main{max-width:70rem;margin:0 auto;padding:1rem}h1{font-size:1.3rem}
        table{border-collapse:collapse;width:100%;background:#fff}td,th{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #dde4ea}
        .login label{display:block;margin:.8rem 0}.login input{width:22rem;padding:.3rem}
        .problem,.Failed,.Unhealthy,.Unavailable,.TimedOut{color:#b3261e}.Success,.Healthy{color:#1a7f37}
        .Canceled,.Cancelling,.HasWarnings,.SuccessWithWarning{color:#9a6700}.Executing,.Running{color:#0969da}
        section{margin:.8rem 0}section h2{font-size:1rem;margin:0 0 .2rem}section section{margin-left:1.2rem}
        pre{margin:0;padding:.5rem .8rem;background:#0f1720;color:#d7e0e8;overflow-x:auto;white-space:pre-wrap;word-break:break-word}
        pre:empty{display:none}.l-Verbose{color:#8b98a5}.l-Warning{color:#e3b341}.l-Error,.l-Fatal{color:#ff7b72}.l-Highlight{color:#7ee787}
        time{color:#66788a;margin-right:.8em}

        """

    static let javaScript = """
        "use strict";
        (() => {
          const log = document.getElementById("log");
          if (!log) return;
          const sections = new Map();
          const section = (node) => {
            let found = sections.get(node.id);
            if (!found) {
              const element = document.createElement("section");
              const heading = document.createElement("h2");
              const lines = document.createElement("pre");
              element.append(heading, lines);
              (sections.get(node.parent)?.element ?? log).append(element);
              found = { element, heading, lines };
              sections.set(node.id, found);
            }
            found.heading.textContent = node.name + " \\u2014 " + node.status;
            found.heading.className = node.status;
          };
          const line = (entry) => {
            const target = sections.get(entry.node)?.lines;
            if (!target) return;
            const row = document.createElement("div");
            row.className = "l-" + entry.category;
            const time = document.createElement("time");
            time.textContent = entry.time.slice(11, 19);
            row.append(time, entry.text);
            target.append(row);
          };
          const events = new EventSource(log.dataset.events);
          const state = (data) => {
            const element = document.getElementById("state");
            element.textContent = data.state;
            element.className = data.state;
            document.getElementById("error").textContent = data.error;
            data.nodes.forEach(section);
          };
          events.addEventListener("state", (event) => state(JSON.parse(event.data)));
          events.addEventListener("line", (event) => line(JSON.parse(event.data)));
          events.addEventListener("end", () => events.close());
        })();

        """
}

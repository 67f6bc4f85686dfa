import ServerDomain

extension SystemAPI {
    /// Links that belong to the server; templates of rest-api.md 6.1.
    static let systemLinks: JSONObject = [
        "CurrentUser": "/api/users/me", "Users": "/api/users{/id}{?skip,take,ids,filter}",
        "SignIn": "/api/users/login{?returnUrl}", "SignOut": "/api/users/logout",
        "Spaces": "/api/spaces{/id}{?name,skip,ids,take,partialName}", "SpaceHome": "/api/{spaceId}",
        "Tasks":
            "/api/tasks{/id}{?skip,active,environment,tenant,runbook,project,name,node,running,states,hasPendingInterruptions,hasWarningsOrErrors,take,ids,partialName,spaces,includeSystem}",
        "TaskTypes": "/api/tasks/taskTypes",
        "CertificateConfiguration": "/api/configuration/certificates{/id}{?skip,take,ids,partialName}",
        "ServerStatus": "/api/serverstatus", "Events": "/api/events{/id}{?skip,take,ids,spaces,includeSystem}",
        "Web": "/app",
    ]

    private static let list = "{/id}{?skip,take,ids,partialName}"
    private static let named = "{/id}{?name,skip,ids,take,partialName}"

    /// Links below a space: the name, and the template after `/api/{space}/`.
    private static let spaceTemplates: [(name: String, template: String)] = [
        ("Channels", "channels\(list)"), ("DeploymentProcesses", "deploymentprocesses{/id}{?skip,take,ids}"),
        (
            "Deployments",
            "deployments{/id}{?skip,take,ids,projects,environments,tenants,channels,taskState,partialName}"
        ),
        ("DiscoverMachine", "machines/discover{?host,port,type,proxyId}"), ("Environments", "environments\(named)"),
        ("Feeds", "feeds{/id}{?skip,take,ids,partialName,feedType}"),
        ("LibraryVariables", "libraryvariablesets{/id}{?skip,contentType,take,ids,partialName}"),
        ("Lifecycles", "lifecycles\(list)"), ("MachineOperatingSystems", "machines/operatingsystem/names/all"),
        ("MachineShells", "machines/operatingsystem/shells/all"), ("MachinePolicies", "machinepolicies\(list)"),
        ("MachinePolicyTemplate", "machinepolicies/template"), ("MachineRoles", "machineroles/all"),
        (
            "Machines",
            "machines{/id}{?skip,take,name,ids,partialName,roles,isDisabled,healthStatuses,commStyles,tenantIds,tenantTags,environmentIds,thumbprint,deploymentId,shellNames,deploymentTargetTypes}"
        ),
        ("ProjectGroups", "projectgroups\(list)"),
        ("Projects", "projects{/id}{?name,skip,ids,clone,take,partialName,clonedFromProjectId}"),
        ("ProjectTriggers", "projecttriggers{/id}{?skip,take,ids,runbooks}"), ("Proxies", "proxies\(list)"),
        ("Releases", "releases{/id}{?skip,ignoreChannelRules,take,ids}"),
        ("TagSets", "tagsets{/id}{?skip,take,ids,partialName,scopes}"),
        ("Tenants", "tenants{/id}{?skip,projectId,name,tags,take,ids,clone,partialName,clonedFromTenantId}"),
        ("Variables", "variables{/id}{?ids}"), ("WorkerPools", "workerpools\(named)"),
        (
            "Workers",
            "workers{/id}{?skip,take,name,ids,partialName,isDisabled,healthStatuses,commStyles,workerPoolIds,thumbprint,shellNames}"
        ),
    ]

    static func spaceLinks(_ id: String) -> JSONObject {
        var links = JSONObject()
        for (name, template) in spaceTemplates { links[name] = "/api/\(id)/\(template)" }
        return links
    }
}

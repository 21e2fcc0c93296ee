"""The part of DDI Codebook 2.5 that codebooks here use: which element may stand where, in which order, how often.

Written down from the field-level documentation of the standard; an extract was held against the schema itself once,
with xmllint. Belongs here: structure. Does not belong here: content.
"""

SPACE = "{ddi:codebook:2_5}"

CHILDREN = {
    "codeBook": "docDscr* stdyDscr+ fileDscr* dataDscr* otherMat*",
    "docDscr": "citation? guide? docStatus? docSrc* controlledVocabUsed* notes*",
    "stdyDscr": "citation+ studyAuthorization* stdyInfo* studyDevelopment* method* dataAccs* othrStdyMat* notes*",
    "citation": "titlStmt rspStmt? prodStmt? distStmt? serStmt* verStmt* biblCit? holdings* notes*",
    "titlStmt": "titl subTitl* altTitl* parTitl* IDNo*",
    "verStmt": "version? verResp* notes*",
    "stdyInfo": "studyBudget* subject? abstract* sumDscr* qualityStatement? notes* exPostEvaluation*",
    "sumDscr": "timePrd* collDate* nation* geogCover* geogUnit* geoBndBox? boundPoly* anlyUnit* universe* dataKind*",
    "method": "dataColl* notes* anlyInfo? stdyClas* dataProcessing* codingInstructions*",
    "dataColl": "timeMeth* dataCollector* collectorTraining* frequenc* sampProc* sampleFrame* targetSampleSize*"
    " deviat* collMode* resInstru* instrumentDevelopment* sources? collSitu* actMin* ConOps* weight* cleanOps*",
    "dataAccs": "typeOfAccess? setAvail* useStmt* notes*",
    "useStmt": "confDec? specPerm? restrctn? contact* citReq? deposReq? conditions? disclaimer?",
    "fileDscr": "fileTxt* locMap? notes*",
    "fileTxt": "fileName? fileCitation? dataFingerprint* fileCont? fileStrc? dimensns? fileType* format?",
    "dimensns": "caseQnty* varQnty* logRecL* recPrCas* recNumTot*",
    "dataDscr": "varGrp* nCubeGrp* var* nCube* notes*",
    "var": "location* labl* imputation? security? embargo? respUnit? anlysUnit? qstn* valrng* invalrng* undocCod*"
    " universe* TotlResp? sumStat* txt* stdCatgry* catgryGrp* catgry* codInstr* verStmt* concept* derivation?"
    " varFormat? geoMap* catLevel* notes*",
    "qstn": "preQTxt* qstnLit* postQTxt* forward* backward* ivuInstr*",
    "valrng": "item* range* key* notes*",
    "catgry": "catValu? labl* txt* catStat* mrow?",
}
ATTRIBUTES = {
    "var": {
        "intrvl": {"contin", "discrete"},
        "nature": {"nominal", "ordinal", "interval", "ratio", "percent", "other"},
        "wgt": {"wgt", "not-wgt"},
    },
    "sumStat": {"type": {"mean", "medn", "mode", "vald", "invd", "min", "max", "stdev", "other"}},
    "catStat": {"type": {"freq", "percent", "crosstab", "other"}},
    "catgry": {"missing": {"Y", "N"}},
    "varFormat": {"type": {"numeric", "character"}},
    "range": {"UNITS": {"INT", "REAL"}},
}


def problems(root):
    """What of a codebook the standard does not allow."""
    result = [] if root.tag == f"{SPACE}codeBook" else [f"the root is {root.tag}"]
    ids = [e.get("ID") for e in root.iter() if e.get("ID")]
    result += [f"id {i} occurs twice" for i in set(ids) if ids.count(i) > 1]
    for element in root.iter():
        name = element.tag.removeprefix(SPACE)
        for attribute, allowed in ATTRIBUTES.get(name, {}).items():
            if element.get(attribute) not in {None, *allowed}:
                result.append(f"{name} {attribute}={element.get(attribute)!r}")
        children = [child.tag.removeprefix(SPACE) for child in element]
        if name not in CHILDREN:
            result += [f"{child} in {name}" for child in children]
            continue
        order = CHILDREN[name].split()
        names = [entry.rstrip("*+?") for entry in order]
        unknown = [child for child in children if child not in names]
        result += [f"{child} in {name}" for child in unknown]
        places = [names.index(child) for child in children if child in names]
        if places != sorted(places):
            result.append(f"order in {name}: {children}")
        for entry, own in zip(order, names, strict=True):
            if entry[-1] not in "*+" and children.count(own) > 1:
                result.append(f"{own} stands {children.count(own)} times in {name}")
            if entry[-1] not in "*?" and own not in children:
                result.append(f"{name} has no {own}")
    return result
